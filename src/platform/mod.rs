//! What differs between systems, and nothing else: the only place that asks which system this is.
//!
//! Both files have the same functions.
//!
//! | function | does |
//! |---|---|
//! | `write_all_at`, `read_exact_at` | write and read at a place of a file that other threads use too |
//! | `try_lock` | takes a lock file for writing, or says that another has it |
//! | `swap` | exchanges two folders in one step, where the system can |
//! | `clone_file` | makes a file that shares its blocks with another until one is written, where the system can |
//! | `available_bytes` | how much room this process has on the file system of a folder |
//! | `sync_folder` | makes a rename durable |
//! | `sync_all_files` | makes everything written so far durable in one call, where the system can |
//! | `may_be_alive` | whether a process of this machine that had a lock may still run |
//! | `host_name`, `UNLINKS_OPEN_FILES` | as they say |
//! | `is_transient` | whether a rename failed because somebody looks at the file just now |

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;

/// The systems whose conventions for folders differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum System {
    /// Linux and everything that follows the XDG base directory specification.
    Linux,
    /// macOS and its relatives.
    MacOs,
    /// Windows.
    Windows,
}

/// The system this program runs on.
pub(crate) const SYSTEM: System = if cfg!(windows) {
    System::Windows
} else if cfg!(target_vendor = "apple") {
    System::MacOs
} else {
    System::Linux
};

/// Whether paths begin with a drive.
pub(crate) const HAS_DRIVES: bool = cfg!(windows);

/// Gives the cryptography to the TLS library: graviola where it runs, else the library's default.
pub(crate) fn tls_config(
    builder: ureq::config::ConfigBuilder<ureq::typestate::AgentScope>,
    roots: ureq::tls::RootCerts,
) -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    let tls = ureq::tls::TlsConfig::builder().root_certs(roots);
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    let tls = tls.unversioned_rustls_crypto_provider(std::sync::Arc::new(
        rustls_graviola::default_provider(),
    ));
    builder.tls_config(tls.build())
}

/// Whether this processor has what graviola asks for, which would end the program where it is missing: on x86-64 those
/// made since about 2014, on AArch64 those with the cryptography extensions.
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
