-- Inserts in a transaction, an index, a join with groups, updates.
CREATE TABLE part(id INTEGER PRIMARY KEY, kind INTEGER, name TEXT, price REAL);
CREATE TABLE sale(part INTEGER, day INTEGER, number INTEGER);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
    INSERT INTO part SELECT i, i * 7 % 50, 'part ' || (i * 7919 % 10007), i * 0.25 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 35000)
    INSERT INTO sale SELECT i * 31 % 12000 + 1, i % 365, i % 9 FROM n;
COMMIT;
CREATE INDEX by_name ON part(name);
SELECT kind, count(*), round(sum(price * number), 2) FROM sale JOIN part ON part.id = sale.part
    GROUP BY kind ORDER BY 3 DESC LIMIT 3;
SELECT count(*) FROM part WHERE name LIKE '%77%';
UPDATE part SET price = price * 1.1 WHERE kind < 10;
SELECT round(sum(price), 2) FROM part;
