//! What each mistake is called.

use std::collections::BTreeSet;

use super::{BINDING, flag, lines, load};
use crate::config::layers::{Layers, Sources};

#[test]
fn every_mistake_is_named_with_its_line() {
    let text = |line: &str| line.to_owned();
    let with = |line: &str| format!("{BINDING}{line}\n");
    let no_name = "`name`: expected a letter, then letters, digits and `-`, at most 32, a-z, found";
    for (file, expected) in [
        (
            text("partitions = 3"),
            vec![
                "1:1: unknown key `partitions`, expected one of: binding, courier, data_dir, door, log, mappings_dir, \
                 operator, ops, reader, registry, schemas_dir, sequence, shutdown_timeout, store, telemetry",
            ],
        ),
        (text("[log]\npartitions = 0"), vec!["2:14: `log.partitions`: expected 1 to 1000, found 0"]),
        (text("[log]\npartitions = 1001"), vec!["2:14: `log.partitions`: expected 1 to 1000, found 1001"]),
        (text("[door]\nread_timeout = \"0s\""), vec!["2:16: `door.read_timeout`: expected 100ms to 1h, found 0ms"]),
        (
            text("[door]\nread_timeout = 5"),
            vec![
                "2:16: `door.read_timeout`: expected a duration such as \"500ms\", \"30s\", \"15m\", \"72h\" or \
                 \"30d\", found integer",
            ],
        ),
        (
            text("[door]\nmax_body_bytes_in_flight = \"1MiB\""),
            vec!["2:28: `door.max_body_bytes_in_flight`: expected 16MiB to 64GiB, found 1MiB"],
        ),
        (
            text("[ops]\nlisten = \"127.0.0.1:8080\""),
            vec!["2:10: `ops.listen`: `127.0.0.1:8080` is `door.listen` already"],
        ),
        (
            text("[store]\norders_for = \"1d\""),
            vec!["2:14: `store.orders_for`: expected at least `sequence.tombstone_for`, found less"],
        ),
        (
            text("[sequence]\nmax_parked_per_order = 0"),
            vec!["2:24: `sequence.max_parked_per_order`: expected 1 to 10000, found 0"],
        ),
        (text("door = 1"), vec!["1:8: `door`: expected a table, found integer"]),
        (
            text("[telemetry]\nlog_format = \"xml\""),
            vec!["2:14: `telemetry.log_format`: expected \"auto\", \"text\" or \"json\", found other text"],
        ),
        (
            text("[telemetry]\nlog_filter = \"a=b=c\""),
            vec![
                "2:14: `telemetry.log_filter`: error parsing level filter: expected one of \"off\", \"error\", \
                 \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5",
            ],
        ),
        (text("data_dir = "), vec!["1:12: string values must be quoted, expected literal string"]),
        (
            with("bu_code = []"),
            vec![
                "8:1: unknown key `binding.bu_code`, expected one of: adapter, base_url, bearer_tokens, bu_codes, \
                 countries, courier, label, name, outbound_token, rate_limit_per_minute, service_codes, \
                 signature_mode, signing_secret, tenant_id, topics",
            ],
        ),
        (
            with("courier = { timeout = \"0s\", breaker_open_for = \"1ms\", retry_dealys = [] }"),
            vec![
                "8:23: `binding.courier.timeout`: expected 100ms to 10m, found 0ms",
                "8:48: `binding.courier.breaker_open_for`: expected 1s to 1d, found 1ms",
                "8:55: unknown key `binding.courier.retry_dealys`, expected one of: breaker_failures, \
                 breaker_open_for, breaker_successes, concurrency, profile, rate_per_minute, retries, retry_delay, \
                 retry_delay_max, retry_delays, retry_jitter_percent, second_rounds, ssl_ca_location, \
                 ssl_certificate_location, ssl_key_location, timeout",
            ],
        ),
        (
            with("courier = { profile = \"crm\", retry_delay = \"31s\" }"),
            vec![
                "8:11: `binding.courier.retry_delay_max`: expected at least `binding.courier.retry_delay`, found less",
                "8:23: `binding.courier.profile`: expected \"sales\", \"erp\" or \"esignature\", found other text",
            ],
        ),
        (
            text("[courier.erp]\nretry_delays = [\"1s\", \"2d\"]"),
            vec!["2:16: `courier.erp.retry_delays`: expected at most 16 durations of 100ms to 1d, found others"],
        ),
        (
            text("[courier.crm]\ntimeout = \"1s\""),
            vec!["1:10: unknown key `courier.crm`, expected one of: erp, esignature, sales"],
        ),
        (
            with("signature_mode = \"none\""),
            vec!["8:18: `binding.signature_mode`: expected \"timestamp\" or \"body\", found other text"],
        ),
        (
            with("topics = [\"sales.pyxis.order.created\", \"sales.pyxis.order.craeted\"]"),
            vec![
                "8:10: `binding.topics`: expected of sales.pyxis.order.created, sales.pyxis.order.updated, found `sales.pyxis.order.craeted`",
            ],
        ),
        (
            with("topics = \"sales.pyxis.order.created\""),
            vec!["8:10: `binding.topics`: expected an array of values of one type, found other text"],
        ),
        (
            with("countries = [\"FR\", \"DE\"]"),
            vec!["8:13: `binding.countries`: expected of FR, ES, IT, PL, PT, found `DE`"],
        ),
        (
            with("countries = []"),
            vec!["8:13: `binding.countries`: expected one or more of FR, ES, IT, PL, PT, found none"],
        ),
        (
            with("base_url = \"ftp://u:pw@host\""),
            vec![
                "8:12: `binding.base_url`: expected an http or https address without user, query and fragment, found \
                 other text",
            ],
        ),
        (with("label = [1]"), vec!["8:9: `binding.label`: expected text, found array"]),
        (
            with("outbound_token = \"pa55word\""),
            vec!["8:18: `outbound_token`: expected a reference such as `env:NAME` or `file:/path`, found other text"],
        ),
        (
            with("outbound_token = \"literal:pa55word\""),
            vec![
                "8:18: `outbound_token`: `literal:…` is accepted in developer mode only, expected `env:NAME` or \
                 `file:/path`",
            ],
        ),
        (with("outbound_token = \"env:GONE\""), vec!["8:18: `outbound_token`: `env:GONE`: the variable is not set"]),
        (
            with("rate_limit_per_minute = -1"),
            vec!["8:25: `binding.rate_limit_per_minute`: expected a number from 0 to 4294967295, found integer"],
        ),
        (
            with("service_codes = { X = 1 }"),
            vec![
                "8:17: `binding.service_codes`: expected a table of rows such as { CODE = { column = \"value\" } }, \
                 found inline table",
            ],
        ),
        (
            format!("{BINDING}{BINDING}"),
            vec![
                "8:1: binding `a`: `sales.pyxis.order.created` belongs to one binding (`topics`), it is read already: \
                 crossdock.toml:1",
                "8:1: binding `a`: `sales.pyxis.order.updated` belongs to one binding (`topics`), it is read already: \
                 crossdock.toml:1",
                "9:8: binding `a` is there already: crossdock.toml:2",
                "13:17: binding `a`: a bearer token names one binding, this one is in use already: crossdock.toml:6",
            ],
        ),
        (BINDING.replace("\"a\"", "\"A_1\""), vec![&format!("2:8: {no_name} `A_1`")]),
        (BINDING.replace("\"a\"", "\"\""), vec![&format!("2:8: {no_name} ``")]),
        (
            BINDING.replace("\"a\"", &format!("\"{}\"", "a".repeat(33))),
            vec![&format!("2:8: {no_name} `{}`", "a".repeat(33))],
        ),
        (
            BINDING.replace("north", "no|rth"),
            vec!["4:13: `tenant_id`: expected 1 to 64 letters, digits, `.`, `_`, `-`, found `no|rth`"],
        ),
        (BINDING.replace("\"pyxis\"", "\"sap\""), vec!["3:11: no adapter `sap`, there is: pyxis"]),
        (
            text("[[binding]]\nadapter = \"pyxis\""),
            vec![
                "1:1: `binding.bearer_tokens` is missing: expected a secret reference such as \"env:NAME\", or an \
                 array of them",
                "1:1: `binding.bu_codes` is missing: expected an array of values of one type",
                "1:1: `binding.name` is missing: expected text",
                "1:1: `binding.signing_secret` is missing: expected a secret reference such as \"env:NAME\", or an \
                 array of them",
                "1:1: `binding.tenant_id` is missing: expected text",
            ],
        ),
        (
            text(
                "[[operator]]\nname = \"local\"\ntoken = \"env:BAD\"\nroles = [\"root\"]\ntenants = [\"a b\"]\nrole = \
                 1",
            ),
            vec![
                "2:8: operator `local` is the holder of `operator.token`",
                "3:9: `token`: expected visible ASCII characters without spaces, found others",
                "4:9: `operator.roles`: expected of viewer, writer, operator, editor, admin, client, found `root`",
                "5:11: `operator.tenants`: expected 1 to 64 letters, digits, `.`, `_`, `-`, found `a b`",
                "6:1: unknown key `operator.role`, expected one of: name, roles, tenants, token",
            ],
        ),
        (
            text("[[operator]]\nname = \"x\"\nroles = []"),
            vec![
                "1:1: `operator.token` is missing: expected a secret reference such as \"env:NAME\", or an array of \
                 them",
                "3:9: `operator.roles`: expected one or more of viewer, writer, operator, editor, admin, client, \
                 found none",
            ],
        ),
    ] {
        let found = load(&file, &[("BAD", "two words")], Vec::new()).err().unwrap_or_default();
        // The folder of a place named inside a message is not fixed either.
        let found: Vec<_> = found.iter().map(|line| without_folder(line)).collect();
        let expected: Vec<_> = expected.iter().map(|line| format!("crossdock.toml:{line}")).collect();
        assert_eq!(found, expected, "{file}");
    }
}

#[test]
fn mistakes_of_file_variables_and_flags_are_reported_together() {
    let variables = [
        ("CROSSDOCK__DOOR__LISTNE", "1.2.3.4:5"),
        ("CROSSDOCK__LOG__PARTITIONS", "many"),
        ("CROSSDOCK__", "1"),
        ("CROSSDOCK__STORE__LEDGER_FOR", "1d\nx = 2"),
    ];
    let flags = vec![flag("--listen", &["door", "listen"], "everywhere")];

    let found = load("[log]\nretention = 1\n", &variables, flags).expect_err("mistakes");

    let expected = [
        "--listen: `door.listen`: expected an address such as \"127.0.0.1:8080\", found other text",
        "CROSSDOCK__: unknown key ``, expected one of: binding, courier, data_dir, door, log, mappings_dir, operator, ops, reader, \
         registry, schemas_dir, sequence, shutdown_timeout, store, telemetry",
        "CROSSDOCK__DOOR__LISTNE: unknown key `door.listne`, expected one of: append_timeout, listen, \
         max_body_bytes_in_flight, max_connections, read_timeout",
        "CROSSDOCK__LOG__PARTITIONS: `log.partitions`: expected a number from 0 to 4294967295, found other text",
        "CROSSDOCK__STORE__LEDGER_FOR: `store.ledger_for`: expected a duration such as \"500ms\", \"30s\", \"15m\", \
         \"72h\" or \"30d\", found other text",
        "crossdock.toml:2:13: `log.retention`: expected a duration such as \"500ms\", \"30s\", \"15m\", \"72h\" or \
         \"30d\", found integer",
    ];
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected.map(str::to_owned).into());
}

#[test]
fn a_missing_file_is_one_finding() {
    let file = Some("/nowhere/crossdock.toml".into());

    let report = Layers::open(Sources { file, ..Sources::default() }).expect_err("missing");

    assert_eq!(lines(&report), ["crossdock.toml: cannot be read: No such file or directory (os error 2)"]);
}

fn without_folder(line: &str) -> String {
    let Some((head, tail)) = line.rsplit_once("already: ") else { return line.to_owned() };
    format!("{head}already: {}", tail.rsplit('/').next().unwrap_or_default())
}
