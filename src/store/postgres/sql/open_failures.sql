SELECT binding, error_code, count(*) FROM failures WHERE state = 0 GROUP BY binding, error_code
