//! How long a run takes, from the environment.

/// Every part is bounded by these.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// `BENCH_CONNECTIONS`: senders that each wait for the answer before they send the next order.
    pub connections: usize,
    /// `BENCH_ORDERS`: orders measured in each round.
    pub orders: usize,
    /// `BENCH_ROUNDS`.
    pub rounds: usize,
    /// `BENCH_STORED`: orders in the store of the gateway that holds many; 0 leaves that part out.
    pub stored: usize,
}

impl Settings {
    /// # Panics
    /// A variable is no number, or too small for anything to be measured.
    pub fn of_environment() -> Self {
        let read = |name: &str, usual: usize| match std::env::var(name) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}: expected a number, found `{text}`")),
            Err(_) => usual,
        };
        let settings = Self {
            connections: read("BENCH_CONNECTIONS", 64),
            orders: read("BENCH_ORDERS", 20_000),
            rounds: read("BENCH_ROUNDS", 3),
            stored: read("BENCH_STORED", 1_000_000),
        };
        assert!(
            settings.connections > 0 && settings.rounds > 0 && settings.orders >= settings.connections,
            "expected at least one connection, one round and one order a connection, found {settings:?}"
        );
        settings
    }
}
