-- Enter that the branch is published. Writes lake_night. Safe to repeat.
update lake_night set published_at = now() where branch = %(branch)s;
