//! The connections. One that did not end its work in good order is closed, never used again: the server then ends
//! whatever it still had open.

use std::ops::Deref;

use deadpool_postgres::{ClientWrapper, Manager, ManagerConfig, Object, RecyclingMethod, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{NoTls, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::Error;
use crate::store::postgres::failure::Failure;
use crate::store::postgres::options::Options;
use crate::store::postgres::tls;

#[derive(Debug)]
pub(super) struct Pool {
    connections: deadpool_postgres::Pool,
}

impl Pool {
    /// Connects to nothing yet. `name` names the store in errors.
    pub(super) fn new(options: &Options, config: tokio_postgres::Config, name: &str) -> Result<Self, Error> {
        let unusable = |reason| Error::Unusable { path: name.to_owned(), reason };
        // Whether a connection was closed is known without asking: its task reads at all times.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match tls::client_config(&options.tls).map_err(unusable)? {
            None => Manager::from_config(config, NoTls, recycling),
            Some(tls) => Manager::from_config(config, MakeRustlsConnect::new(tls), recycling),
        };
        let connections = deadpool_postgres::Pool::builder(manager)
            .max_size(options.connections.max(1))
            .wait_timeout(Some(options.statement_timeout))
            // The server's own limits begin with the session: until then a silent server is given up here.
            .create_timeout(Some(2 * options.connect_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|cause| unusable(cause.to_string()))?;
        Ok(Self { connections })
    }

    pub(super) async fn get(&self) -> Result<Connection, Failure> {
        Ok(Connection { object: Some(self.connections.get().await?) })
    }
}

/// One connection for one call. Dropped, it is closed; [`Connection::release`] keeps it for the next call.
pub(super) struct Connection {
    /// Gone only while this is dropped.
    object: Option<Object>,
}

impl Connection {
    /// Prepares what this connection has not prepared before.
    pub(super) async fn prepare<const N: usize>(&self, texts: [&str; N]) -> Result<[Statement; N], Failure> {
        let mut statements = Vec::with_capacity(N);
        for text in texts {
            statements.push(self.prepare_cached(text).await?);
        }
        statements.try_into().map_err(|_| unreachable!("one statement for each text"))
    }

    /// The rows of one statement.
    pub(super) async fn rows(&self, text: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        let statement = self.prepare_cached(text).await?;
        Ok(self.query(&statement, params).await?)
    }

    /// Gives it back. Nothing may be open on it.
    pub(super) fn release(mut self) {
        drop(self.object.take());
    }
}

impl Deref for Connection {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        match &self.object {
            Some(object) => object,
            None => unreachable!("taken by `release` and `drop` alone"),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object)); // closes it at once: a lane may be locked by it
        }
    }
}
