//! Sends orders a process has not seen.

use super::load::{self, Load, Sent};
use super::process::Process;

pub struct Sender<'a> {
    process: &'a Process,
    connections: usize,
    next: usize,
}

impl<'a> Sender<'a> {
    pub fn new(process: &'a Process, connections: usize) -> Self {
        Self { process, connections, next: process.first_order }
    }

    pub async fn send(&mut self, orders: usize) -> Sent {
        let load = Load { connections: self.connections, orders, first: self.next };
        self.next += orders;
        load::send(&self.process.door, load).await
    }
}
