-- Hours and station days from the archive's Parquet, in DuckDB: the peer of `bench.replay` (bench/peers/folds.py says what it
-- leaves out). Minutes are local minutes since 1970 in Asia/Shanghai, whose offset is 8 hours in all years of the log.

CREATE TEMP TABLE shifts AS
SELECT
    shift,
    any_value(volunteer) AS volunteer,
    arg_min(station, occurred_at) FILTER (code = 1) AS station,
    min(occurred_at) FILTER (code = 1) // 60 + 480 AS started,
    min(occurred_at) FILTER (code = 2) // 60 + 480 AS ended
FROM read_parquet('{archive}/[0-9]*/shift-events.parquet')
WHERE code IN (1, 2)
GROUP BY shift;

CREATE TEMP TABLE credited AS
WITH served AS (
    SELECT volunteer, station, started, least(ended, started + 720) AS ended
    FROM shifts
    WHERE ended - started >= 10
), pieces AS (
    SELECT volunteer, station, started // 1440 AS day, started, true AS first,
        least(ended, (started // 1440 + 1) * 1440) - started AS raw
    FROM served
    UNION ALL
    SELECT volunteer, station, ended // 1440, ended // 1440 * 1440, false, ended % 1440
    FROM served
    WHERE ended // 1440 > started // 1440 AND ended % 1440 > 0
)
SELECT *, greatest(0, least(raw, 480 - coalesce(sum(raw) OVER earlier, 0))) AS counted
FROM pieces
WINDOW earlier AS (
    PARTITION BY volunteer, day ORDER BY started ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
);

CREATE TEMP TABLE volunteer_hours AS
SELECT volunteer, year(DATE '1970-01-01' + day::INTEGER) AS year, count(*) FILTER (first) AS shifts,
    sum(raw) AS raw_minutes, sum(counted) AS counted_minutes
FROM credited
GROUP BY ALL;

CREATE TEMP TABLE station_activity AS
SELECT station, day, count(*) FILTER (first) AS shifts, count(DISTINCT volunteer) FILTER (first) AS volunteers,
    sum(raw) AS raw_minutes, sum(counted) AS counted_minutes
FROM credited
GROUP BY ALL;
