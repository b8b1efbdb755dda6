-- The tables of one generation. {schema} is generation_<id>. Minutes are whole minutes; year 0 stands for all years.
CREATE SCHEMA {schema};

CREATE TABLE {schema}.volunteer_hours (
    volunteer text NOT NULL,
    year int NOT NULL,
    shifts int NOT NULL,
    raw_minutes bigint NOT NULL,
    counted_minutes bigint NOT NULL,
    credited_minutes bigint NOT NULL,
    scanned_minutes bigint NOT NULL,
    attested_minutes bigint NOT NULL
);

CREATE TABLE {schema}.station_activity (
    station text NOT NULL,
    day date NOT NULL,
    shifts int NOT NULL,
    volunteers int NOT NULL,
    raw_minutes bigint NOT NULL,
    counted_minutes bigint NOT NULL,
    credited_minutes bigint NOT NULL,
    people_served bigint NOT NULL
);

CREATE TABLE {schema}.honor_standings (
    volunteer text NOT NULL,
    honor text NOT NULL,
    reached_on date NOT NULL
);

-- Month 0 stands for the whole year: a volunteer counts once in it, so it is not the sum of the months.
CREATE TABLE {schema}.project_activity (
    project text NOT NULL,
    year int NOT NULL,
    month int NOT NULL,
    shifts int NOT NULL,
    volunteers int NOT NULL,
    raw_minutes bigint NOT NULL,
    counted_minutes bigint NOT NULL,
    credited_minutes bigint NOT NULL,
    people_served bigint NOT NULL
);
