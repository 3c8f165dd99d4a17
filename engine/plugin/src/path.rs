//! The plugin path: the folders in which external plugins are looked for, and the shared libraries in them.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use thiserror::Error;

/// Who put a folder on the plugin path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `--plugin-dir`.
    Option,
    /// The variable `SNIFF_X_PLUGIN_DIR`.
    Environment,
    /// Nobody: the user's data folder.
    Default,
}

impl Origin {
    /// The word for it: `--plugin-dir`, `SNIFF_X_PLUGIN_DIR`, `default`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Option => "--plugin-dir",
            Self::Environment => "SNIFF_X_PLUGIN_DIR",
            Self::Default => "default",
        }
    }
}

/// A folder of the plugin path; it need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// The folder.
    pub path: PathBuf,
    /// Who named it.
    pub origin: Origin,
}

/// A folder or a library can't be used.
#[derive(Debug, Error)]
pub enum PathError {
    /// It could not be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The folder or library.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// Somebody else could put code there that would run with this process's rights.
    #[error("plugins are not loaded from {}: others than {trusted} may change it", path.display())]
    Untrusted {
        /// The folder or library.
        path: PathBuf,
        /// Who may: `root`, `root and you`.
        trusted: &'static str,
    },
}

/// The folders, the first to be looked at first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginPath {
    folders: Vec<Folder>,
}

impl PluginPath {
    /// The path from the folders of `--plugin-dir` and this process's environment.
    #[must_use]
    pub fn from_environment(options: &[PathBuf]) -> Self {
        let variable = env::var_os("SNIFF_X_PLUGIN_DIR");
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
        Self::new(options, variable.as_deref(), data.as_deref())
    }

    /// The path from the folders of `--plugin-dir`, the variable (folders joined by colons) and the user's data folder.
    #[must_use]
    pub fn new(options: &[PathBuf], variable: Option<&OsStr>, data: Option<&Path>) -> Self {
        let mut folders: Vec<Folder> = Vec::new();
        let mut add = |path: PathBuf, origin| {
            if !path.as_os_str().is_empty() && folders.iter().all(|f| f.path != path) {
                folders.push(Folder { path, origin });
            }
        };
        for path in options {
            add(path.clone(), Origin::Option);
        }
        for path in variable.map(env::split_paths).into_iter().flatten() {
            add(path, Origin::Environment);
        }
        if let Some(data) = data {
            add(data.join("sniff-x/plugins"), Origin::Default);
        }
        Self { folders }
    }

    /// The folders.
    #[must_use]
    pub fn folders(&self) -> &[Folder] {
        &self.folders
    }

    /// The libraries of all folders that exist, by folder and then by name; and what kept others from being used.
    #[must_use]
    pub fn libraries(&self) -> (Vec<PathBuf>, Vec<PathError>) {
        let (mut libraries, mut errors) = (Vec::new(), Vec::new());
        let trust = Trust::of_this_process();
        for folder in &self.folders {
            match folder.libraries(trust) {
                Ok(found) => {
                    for result in found {
                        match result {
                            Ok(library) => libraries.push(library),
                            Err(error) => errors.push(error),
                        }
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        (libraries, errors)
    }
}

impl Folder {
    fn libraries(&self, trust: Trust) -> Result<Vec<Result<PathBuf, PathError>>, PathError> {
        let read_error = |error| PathError::Read { path: self.path.clone(), error };
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            // Only what somebody asked for must be there.
            Err(e) if e.kind() == io::ErrorKind::NotFound && self.origin == Origin::Default => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(read_error(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(read_error)?.path();
            if path.extension() == Some(OsStr::new("so")) && path.is_file() {
                found.push(path);
            }
        }
        if found.is_empty() {
            return Ok(Vec::new());
        }
        trust.check(&self.path)?;
        trust.check_above(&self.path)?;
        found.sort();
        Ok(found.into_iter().map(|path| trust.check(&path).map(|()| path)).collect())
    }
}

/// Whose code this process may run.
///
/// A process that root started, or that has capabilities of its file, can do more than the user who called it. It must not
/// run what that user, or somebody else, put into a folder.
#[derive(Clone, Copy, Debug)]
struct Trust {
    /// The user that code may belong to beside root; none for a process with capabilities.
    user: Option<u32>,
}

impl Trust {
    /// By the effective user and capabilities; see proc(5) for both files.
    fn of_this_process() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        // What can't be read is taken for having capabilities.
        let has_capabilities = effective.is_none_or(|mask| mask.trim().bytes().any(|b| b != b'0'));
        let user = fs::metadata("/proc/self").map(|m| m.uid()).ok();
        Self { user: user.filter(|_| !has_capabilities) }
    }

    /// The folder or library itself: nobody else may write to it.
    fn check(self, path: &Path) -> Result<(), PathError> {
        let meta = metadata(path)?;
        if meta.mode() & WRITABLE_BY_OTHERS != 0 || !self.is_trusted(meta.uid()) {
            return Err(self.distrust(path));
        }
        Ok(())
    }

    /// The folders above it: whoever can rename in one of them can put another folder in its place. In a sticky folder (`/tmp`) only
    /// owners can.
    fn check_above(self, folder: &Path) -> Result<(), PathError> {
        let real =
            folder.canonicalize().map_err(|error| PathError::Read { path: folder.to_owned(), error })?;
        for above in real.ancestors().skip(1) {
            let meta = metadata(above)?;
            let open_to_others = meta.mode() & WRITABLE_BY_OTHERS != 0 && meta.mode() & STICKY == 0;
            if open_to_others || !self.is_trusted(meta.uid()) {
                return Err(self.distrust(above));
            }
        }
        Ok(())
    }

    fn is_trusted(self, owner: u32) -> bool {
        owner == 0 || Some(owner) == self.user
    }

    fn distrust(self, path: &Path) -> PathError {
        let trusted = if self.user.is_some() { "root and you" } else { "root" };
        PathError::Untrusted { path: path.to_owned(), trusted }
    }
}

/// Bits of a file's mode: group and others may write; only owners rename.
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

fn metadata(path: &Path) -> Result<fs::Metadata, PathError> {
    fs::metadata(path).map_err(|error| PathError::Read { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn options_come_first_then_the_variable_then_the_data_folder() {
        let path = PluginPath::new(
            &["/a".into(), "/b".into()],
            Some(OsStr::new("/c::/a:/d")),
            Some(Path::new("/home/me/.local/share")),
        );
        let folders: Vec<_> =
            path.folders().iter().map(|f| (f.path.to_str().unwrap(), f.origin.as_str())).collect();
        let expected = [
            ("/a", "--plugin-dir"),
            ("/b", "--plugin-dir"),
            ("/c", "SNIFF_X_PLUGIN_DIR"),
            ("/d", "SNIFF_X_PLUGIN_DIR"),
            ("/home/me/.local/share/sniff-x/plugins", "default"),
        ];
        assert_eq!(folders, expected);
    }

    #[test]
    fn libraries_are_found_in_order_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.so", "a.so", "notes.txt", "so"] {
            fs::write(folder.path().join(name), "").unwrap();
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        fs::create_dir(folder.path().join("c.so")).unwrap();
        let missing = folder.path().join("missing");
        let path = PluginPath::new(&[missing.clone(), folder.path().into()], None, Some(&missing));
        let (libraries, errors) = path.libraries();
        assert_eq!(libraries, [folder.path().join("a.so"), folder.path().join("b.so")]);
        // The one that was asked for is missed, the default one is not.
        assert_eq!(errors.len(), 1);
        assert!(matches!(&errors[0], PathError::Read { path, .. } if *path == missing));
    }

    #[test]
    fn what_others_can_change_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("a.so");
        fs::write(&library, "").unwrap();
        let path = PluginPath::new(&[folder.path().into()], None, None);
        fs::set_permissions(&library, fs::Permissions::from_mode(0o666)).unwrap();
        let (libraries, errors) = path.libraries();
        assert!(libraries.is_empty());
        assert!(matches!(&errors[..], [PathError::Untrusted { path, .. }] if *path == library), "{errors:?}");

        let owner = fs::metadata(&library).unwrap().uid();
        fs::set_permissions(&library, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Trust { user: Some(owner) }.check(&library).is_ok());
        assert_eq!(Trust { user: None }.check(&library).is_ok(), owner == 0);
    }

    #[test]
    fn folders_above_count_too() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("plugins");
        fs::create_dir(&inner).unwrap();
        let user = Trust { user: Some(fs::metadata(&inner).unwrap().uid()) };
        assert!(user.check_above(&inner).is_ok());
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(user.check_above(&inner), Err(PathError::Untrusted { .. })));
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(user.check_above(&inner).is_ok());
    }
}
