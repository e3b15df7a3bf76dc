//! The token of the person who has the data folder in hand: made at the first start, so that every command works on
//! this machine without one being configured.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::private;
use crate::config::secret::Secret;
use crate::config::settings::{Operator, Role};

/// In the data folder, mode 0600.
pub const FILE: &str = "operator.token";

/// The operator whose token it is; `[[operator]]` may not use the name.
pub const OPERATOR: &str = "local";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{path}` cannot be read: {cause}")]
    Read { path: PathBuf, cause: io::Error },
    #[error("`{path}` cannot be written: {cause}")]
    Write { path: PathBuf, cause: io::Error },
    #[error("`{path}`: expected one token, found none; delete the file and a new one is made at the next start")]
    NoToken { path: PathBuf },
    #[error("no random numbers: {cause}")]
    Random { cause: getrandom::Error },
}

/// The token in `data_dir`, or `None` if none was made yet.
///
/// # Errors
/// The file cannot be read or holds no token.
pub fn read(data_dir: &Path) -> Result<Option<Secret>, Error> {
    let path = data_dir.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let secret = Secret::new(text.trim());
            if secret.is_token() { Ok(Some(secret)) } else { Err(Error::NoToken { path }) }
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::Read { path, cause }),
    }
}

/// The operator of this machine, role admin of every tenant; makes the data folder and the token if need be.
///
/// # Errors
/// As [`read`], or the file cannot be written.
pub fn ensure(data_dir: &Path) -> Result<Operator, Error> {
    let token = match read(data_dir)? {
        Some(token) => token,
        None => {
            let token = Secret::generate().map_err(|cause| Error::Random { cause })?;
            private::make_folder(data_dir)
                .and_then(|()| private::write(data_dir, FILE, &format!("{}\n", token.reveal())))
                .map_err(|cause| Error::Write { path: data_dir.join(FILE), cause })?;
            token
        }
    };
    Ok(Operator { name: OPERATOR.to_owned(), token, roles: vec![Role::Admin], tenants: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_token_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = folder.path().join("data");
        assert!(read(&data_dir).expect("readable").is_none());

        let first = ensure(&data_dir).expect("made");
        let second = ensure(&data_dir).expect("read");

        assert_eq!(first.token, second.token);
        assert_eq!(read(&data_dir).expect("readable"), Some(first.token));
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&data_dir), mode(&data_dir.join(FILE))), (0o700, 0o600));
    }

    #[test]
    fn a_file_without_a_token_is_refused_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        std::fs::write(&path, "\n").expect("written");

        let error = ensure(folder.path()).expect_err("no token");

        assert!(matches!(error, Error::NoToken { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "\n");
    }
}
