-- All honours of all years from credited pieces, as one would ask for them in SQL. The rules' own conditions stand in the
-- table `conditions`; what the rankings of rules/luohu.toml ask for stands here.

CREATE OR REPLACE TABLE days AS
SELECT volunteer, day, year(DATE '1970-01-01' + day) AS year, sum(credited)::INT AS credited,
       sum(credited * scanned)::INT AS scanned
FROM pieces GROUP BY volunteer, day;

CREATE OR REPLACE TABLE totals AS
SELECT volunteer, day, year,
       sum(credited) OVER whole AS credited, sum(scanned) OVER whole AS scanned,
       sum(credited) OVER one_year AS credited_of_year, sum(scanned) OVER one_year AS scanned_of_year
FROM days
WINDOW whole AS (PARTITION BY volunteer ORDER BY day), one_year AS (PARTITION BY volunteer, year ORDER BY day);

CREATE OR REPLACE TABLE active AS
SELECT volunteer, of_year, scanned_only, day,
       row_number() OVER (PARTITION BY volunteer, of_year, scanned_only ORDER BY day) AS years
FROM (
    SELECT volunteer, of_year, scanned_only, year, min(day) AS day
    FROM totals JOIN (SELECT DISTINCT of_year, scanned_only FROM conditions WHERE years > 0)
      ON CASE WHEN scanned_only THEN scanned_of_year ELSE credited_of_year END >= of_year
    GROUP BY ALL
);

CREATE OR REPLACE TABLE standings AS
WITH enough AS (
    SELECT volunteer, minutes, scanned_only, min(day) AS day
    FROM totals JOIN (SELECT DISTINCT minutes, scanned_only FROM conditions WHERE minutes > 0)
      ON CASE WHEN scanned_only THEN scanned ELSE credited END >= minutes
    GROUP BY ALL
), met AS (
    SELECT people.volunteer, honor, until,
           greatest(coalesce(enough.day, since), since, coalesce(active.day, since),
                    (DATE '1970-01-01' + registered + to_months(tenure))::DATE - DATE '1970-01-01') AS day
    FROM people CROSS JOIN conditions
    LEFT JOIN enough ON enough.volunteer = people.volunteer AND enough.minutes = conditions.minutes
                    AND enough.scanned_only = conditions.scanned_only
    LEFT JOIN active ON active.volunteer = people.volunteer AND active.of_year = conditions.of_year
                    AND active.scanned_only = conditions.scanned_only AND active.years = conditions.years
    WHERE (conditions.minutes = 0 OR enough.day IS NOT NULL) AND (conditions.years = 0 OR active.day IS NOT NULL)
)
SELECT volunteer, honor, min(day)::INT AS day FROM met WHERE day < until GROUP BY volunteer, honor;

CREATE OR REPLACE TABLE ranks AS
WITH volunteers AS (
    SELECT volunteer, year(DATE '1970-01-01' + day) AS year, sum(credited) AS credited,
           sum(credited * scanned) AS scanned, count(*) AS shifts
    FROM pieces GROUP BY ALL HAVING sum(credited) >= 3000
), of_projects AS (
    SELECT project, year(DATE '1970-01-01' + day) AS year, sum(credited) AS credited,
           count(DISTINCT volunteer) AS volunteers, count(DISTINCT month(DATE '1970-01-01' + day)) AS months
    FROM pieces WHERE project >= 0 GROUP BY ALL HAVING sum(credited) >= 6000
)
SELECT 'top-hundred' AS ranking, year, name,
       row_number() OVER (PARTITION BY year ORDER BY credited DESC, scanned DESC, shifts DESC, name) AS rank
FROM volunteers JOIN names USING (volunteer)
UNION ALL
SELECT 'ten-best', year, name,
       row_number() OVER (
           PARTITION BY year
           ORDER BY credited // 60 * 10 + volunteers * 100 + months * 1000 DESC, credited DESC, volunteers DESC, name
       )
FROM of_projects JOIN projects USING (project);
