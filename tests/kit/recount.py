"""The laws of the counters: what is summed up equals a recount of the rows."""

from kit.night import Night
from kit.quick_nights import QuickNights

VISITOR = """
select email, min(visit), max(visit), count(*)::integer,
       (count(*) filter (where date_trunc('year', visit) = date_trunc('year', as_of)))::integer,
       (count(*) filter (where date_trunc('month', visit) = date_trunc('month', as_of)))::integer
from (select email, visit_date(visit_event, fecha_envio, fecha_open, fecha_click) as visit, as_of::timestamp
      from statistics, visitor_basis) line
where visit is not null
group by email
order by email
"""
CAMPAIGN = """
select fecha_envio::date, file_id, count(*)::integer, sum(1 - delivered)::integer,
       sum(case when fecha_open is null then 0 else delivered end)::integer,
       sum(case when fecha_click is null then 0 else delivered end)::integer,
       sum(case baja when 'SI' then delivered else 0 end)::integer,
       sum(case when fecha_open is null or fecha_click is null then 0 else delivered end)::integer
from (select *, case badmail when 'HARD' then 0 else 1 end as delivered from statistics) line
group by 1, 2
order by 1, 2
"""
REJECT = "select file_id, code, count(*)::integer from errors cross join unnest(codes) as code group by 1, 2 order by 1, 2"
# Lines in the tables that the load log does not count, or counts otherwise. A quarantined file keeps its faulty lines only.
FILES = """
select f.id, status, rows_read, rows_loaded, rows_rejected
from load_file f
cross join lateral (select (select count(*) from statistics where file_id = f.id) as loaded,
                           (select count(*) from errors where file_id = f.id) as rejected) there
where rows_read <> rows_loaded + rows_rejected or rows_loaded <> loaded
   or case status when 'quarantined' then rows_rejected < rejected - 1
                  when 'refused' then rows_rejected <> 0 or rejected <> 1
                  else rows_rejected <> rejected end
"""


def assert_lawful(night: Night | QuickNights) -> None:
    """Assert that visitors, sums and the counts of each file equal a recount."""
    assert night.sql("select * from visitor order by email") == night.sql(VISITOR)
    assert night.sql("select * from load_campaign order by send_date, file_id") == night.sql(CAMPAIGN)
    assert night.sql("select * from load_reject order by file_id, code") == night.sql(REJECT)
    assert night.sql(FILES) == []
    lost = "select file_id from statistics union select file_id from errors except select id from load_file"
    assert night.sql(lost) == []
