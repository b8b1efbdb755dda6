-- Made after the rows: one sort instead of a million insertions.
ALTER TABLE {schema}.volunteer_hours ADD PRIMARY KEY (volunteer, year);
ALTER TABLE {schema}.station_activity ADD PRIMARY KEY (station, day);
ALTER TABLE {schema}.project_activity ADD PRIMARY KEY (project, year, month);
ALTER TABLE {schema}.honor_standings ADD PRIMARY KEY (volunteer, honor);
CREATE INDEX ON {schema}.honor_standings (honor, reached_on, volunteer);
