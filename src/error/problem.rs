//! What is wrong with a login, a certificate, a secure connection or a lock, where callers do something else about each.

/// Why a server denied access. The [module documentation](crate::error) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthFailure {
    /// The server requires credentials, and none were sent.
    Missing,
    /// The server rejected the credentials, or denies access with them.
    Refused,
    /// An object store finds the secret key wrong that belongs to the key that it was sent.
    WrongSecret,
    /// The server denies access, and no credentials were sent, or they are right: object stores do so for what does not
    /// exist, too.
    Forbidden,
    /// The terms of the model have to be accepted first.
    Gated,
    /// An OCI registry sends its users for tokens to a place that is neither reached over https nor where the registry is.
    /// Nothing was sent there; the error's `reason` has the place as the registry names it.
    UnsafeTokenService,
}

/// What is wrong with the certificate of a server. The [module documentation](crate::error) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// Nobody vouches for it who is trusted on this machine.
    Untrusted,
    /// It has expired, or the clock of this machine is wrong.
    Expired,
    /// It is not valid yet, or the clock of this machine is wrong.
    NotYetValid,
    /// It is for other hosts.
    OtherHost,
    /// It is malformed, revoked or for another purpose.
    Invalid,
}

/// Why there is no secure connection to a server. The [module documentation](crate::error) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsProblem {
    /// Something else than TLS is spoken on this port, usually plain HTTP.
    NotTls,
    /// The server has no version or no cipher suite of TLS that is accepted here: older ones than TLS 1.2 are not.
    NothingInCommon,
    /// The server requires a certificate of the client.
    ClientCertificate,
    /// The server ended the handshake for another reason, or did not keep to its rules.
    Failed,
}

/// Why a lock cannot be used. The [module documentation](crate::error) has an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockProblem {
    /// There is none.
    Missing,
    /// It is not written as a lock is, or names what cannot be.
    Malformed,
    /// A merge left the marks of a conflict in it.
    Unmerged,
    /// It was written by a later version of this crate.
    LaterVersion,
}
