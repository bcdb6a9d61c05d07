create table im(a timestamptz, b text, c int);
create index on im(date_trunc('day', a));
create index on im(extract(year from a));
create index on im(date_part('year', a));
create index on im((b||c));
create index on im((a::date));
create index on im((a at time zone 'UTC'));
create index on im((a = '2020-01-01'::date));
create index on im((concat(b,c)));
