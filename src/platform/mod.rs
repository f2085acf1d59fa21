//! Everything that depends on the operating system, and nothing else.
//!
//! Both files have the same functions.
//!
//! | function | does |
//! |---|---|
//! | `write_all_at`, `read_exact_at` | write and read at an offset of a file that other threads use as well |
//! | `try_lock` | locks a file, unless another process has locked it |
//! | `boot_id` | returns what names this run of the system, if the system names it |
//! | `is_shared` | returns whether other machines may have the file system of a file, too, and not know of its locks |
//! | `is_fixed` | returns whether what was written to a file and not synced is only lost if this system stops |
//! | `swap` | exchanges two folders atomically, if the system can |
//! | `clone_file` | creates a copy that shares its blocks with the original, if the system can |
//! | `available_bytes` | returns the space available to this process on the file system of a folder, if that says so |
//! | `disk_blocks` | returns what a file takes on the disk and, if it has several names and the system tells, what they share |
//! | `file_number` | returns the number of a file on its file system, under every name, where files can be cloned |
//! | `make_room` | gives a file that is to be written its size, if the file system can |
//! | `sync_file`, `sync_data` | make what was written to a file durable |
//! | `sync_folder` | makes a rename durable, if the file system can |
//! | `sync_all_files` | makes everything written so far durable at once, if the system can |
//! | `forget_cached` | has the system read a file from the disk again, if it can be told to |
//! | `may_be_alive` | returns whether a process that held a lock may still be running |
//! | `has_terminal` | returns whether a person may sit before this process, whom the programs that it runs can ask |
//! | `set_apart` | has a program that will be run be ended together with what it runs, if the system can |
//! | `end_set_apart` | ends a program that was set apart |
//! | `user_id` | returns the number of the user whose process this is, if the system has numbers |
//! | `host_name` | returns the name of this machine |
//! | `UNLINKS_OPEN_FILES` | whether an open file can be removed |
//! | `is_transient` | returns whether a rename failed only because another program has the file open |

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;

/// What all names of a file have in common: its device, and its number there.
pub(crate) type FileId = (u64, u64);

/// What came of trying to lock a file.
#[derive(Debug)]
pub(crate) enum TryLock {
    /// It is locked as long as this is open.
    Locked(std::fs::File),
    /// Another has locked it.
    Busy,
    /// The file system has no locks, for this reason: anybody may believe to hold it.
    #[cfg_attr(windows, expect(dead_code, reason = "opening it is the lock"))]
    Unavailable(std::fs::File, std::io::Error),
}

/// An operating system, as far as its folders are concerned.
///
/// [`Environment`](crate::Environment) has an example; a test of an app can ask where it would keep its models:
///
/// ```
/// use modelrack::config::System;
/// use modelrack::{Config, Environment, ListOptions, Manager, ModelManager};
///
/// # let folder = tempfile::tempdir()?;
/// for system in [System::Linux, System::MacOs, System::Windows] {
///     let environment = Environment::empty(system, folder.path());
///     let manager = ModelManager::builder(Config::new("tool")).environment(environment).build();
///     assert!(manager.list(&ListOptions::default())?.models.is_empty(), "{system:?}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum System {
    /// Linux, and other systems that follow the XDG base directory specification.
    Linux,
    /// macOS, and other systems by Apple.
    MacOs,
    /// Windows.
    Windows,
}

/// The system that this program runs on.
pub(crate) const SYSTEM: System = if cfg!(windows) {
    System::Windows
} else if cfg!(target_vendor = "apple") {
    System::MacOs
} else {
    System::Linux
};

/// Whether paths start with a drive.
pub(crate) const HAS_DRIVES: bool = cfg!(windows);

/// Returns the cryptography of TLS: graviola where it is available, and ring elsewhere.
pub(crate) fn crypto_provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    let provider = rustls_graviola::default_provider();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let provider = rustls::crypto::ring::default_provider();
    std::sync::Arc::new(provider)
}

/// Returns what checks certificates by the means of the system, where these are more than files.
pub(crate) fn system_verifier(
    provider: &std::sync::Arc<rustls::crypto::CryptoProvider>,
) -> Option<Result<std::sync::Arc<dyn rustls::client::danger::ServerCertVerifier>, rustls::Error>> {
    #[cfg(any(windows, target_vendor = "apple"))]
    return Some(
        match rustls_platform_verifier::Verifier::new(provider.clone()) {
            Ok(verifier) => Ok(std::sync::Arc::new(verifier)),
            Err(error) => Err(error),
        },
    );
    #[cfg(not(any(windows, target_vendor = "apple")))]
    {
        let _ = provider;
        None
    }
}

/// Files and folders with the certificates that a system trusts, where it keeps them in files: those that Go knows.
pub(crate) const CERTIFICATE_PLACES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
    "/etc/openssl/certs/ca-certificates.crt",
    "/etc/certs/ca-certificates.crt",
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/openssl/certs",
    "/system/etc/security/cacerts",
];

/// Returns whether this processor has the instructions that graviola requires, and without which it aborts: on x86-64
/// those of about 2014, on AArch64 the cryptography extensions.
pub(crate) fn supports_tls() -> bool {
    #[cfg(target_arch = "x86_64")]
    let supported = is_x86_feature_detected!("aes")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("avx")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("adx")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2");
    #[cfg(target_arch = "aarch64")]
    let supported = std::arch::is_aarch64_feature_detected!("neon")
        && std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull")
        && std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let supported = true;
    supported
}
