SELECT topic, partition, lane FROM lanes WHERE (topic, partition) IN (SELECT * FROM unnest($1::text[], $2::bigint[]))
