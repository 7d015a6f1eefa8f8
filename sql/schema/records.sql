-- Whether our record of applied migrations is there, and whether the record of yoyo is there. yoyo applied migrations before
-- 2026-11-27.
select to_regclass('load_migration') is not null, to_regclass('_yoyo_migration') is not null;
