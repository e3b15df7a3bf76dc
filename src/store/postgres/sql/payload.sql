SELECT bytes FROM payloads WHERE digest = $1
