SELECT link_id, tenant_id, source_key, external_order_id, country_code FROM links WHERE link_id = ANY ($1)
