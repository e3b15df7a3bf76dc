//! A folder of one's own that is gone when the demo is.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Dropping it removes the folder with everything in it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new folder among the temporary ones, open to its owner only.
    ///
    /// # Errors
    /// There is no randomness for its name, or it cannot be made.
    pub fn make() -> io::Result<Self> {
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(io::Error::other)?;
        let folder = std::env::temp_dir().join(format!("crossdock-demo-{}", hex::encode(name)));
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed lies among the temporary files, where the system tidies up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_is_private_and_leaves_nothing() {
        use std::os::unix::fs::PermissionsExt as _;

        let scratch = Scratch::make().expect("made");
        let path = scratch.path().to_owned();
        std::fs::write(path.join("file"), "x").expect("written");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        drop(scratch);

        assert_eq!((mode, path.exists()), (0o700, false));
    }
}
