-- Which database this is, and as whom we see it.
select current_database(), current_user;
