//! How long a run takes, from the environment.

use crate::measured::report::count;
use crate::measured::{load, number};

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
        let settings = Self {
            connections: number("BENCH_CONNECTIONS", 64),
            orders: number("BENCH_ORDERS", 20_000),
            rounds: number("BENCH_ROUNDS", 3),
            stored: number("BENCH_STORED", 1_000_000),
        };
        assert!(
            settings.connections > 0 && settings.rounds > 0 && settings.orders >= settings.connections,
            "expected at least one connection, one round and one order a connection, found {settings:?}"
        );
        settings
    }

    /// What is run, in one line.
    pub fn conditions(&self) -> String {
        let Self { connections, orders, rounds, stored } = *self;
        format!(
            "{connections} connections, {} orders of {} bytes a round, {rounds} rounds, {} orders stored",
            count(orders),
            load::order(0).len(),
            count(stored)
        )
    }
}
