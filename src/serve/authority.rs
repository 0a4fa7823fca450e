//! Who vouches for us? Our own authority and leaf outside a cluster, kept under `--state-dir` and renewed with overlap.
//!
//! Blocking, and reads no clock: call it off the runtime, with the time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use crate::limits;

/// One file, so that it is swapped as a whole; the `v1` is its format.
const FILE: &str = "certificates.v1.json";

/// Our own authorities and the leaf they signed.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    hosts: Vec<String>,
    kept: Kept,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// The oldest first; the newest that is known long enough signs.
    roots: Vec<Root>,
    leaf: Option<Leaf>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Root {
    certificate: String,
    key: String,
    name: String,
    from: Timestamp,
    until: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Leaf {
    certificate: String,
    key: String,
    hosts: Vec<String>,
    /// Name of the root that signed it.
    issuer: String,
    until: Timestamp,
}

/// What a renewal did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// Nothing was due.
    Nothing,
    /// There is a new leaf, a new bundle, or both.
    Something,
}

/// Our own certificates cannot be made or kept.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A certificate cannot be made, as of a host that is no DNS name.
    #[error("cannot make a certificate for {hosts}")]
    Make {
        /// The hosts.
        hosts: String,
        /// Why.
        source: rcgen::Error,
    },
    /// The file cannot be written.
    #[error("cannot keep {}", path.display())]
    Keep {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is kept cannot be served.
    #[error("cannot use the certificate for {hosts}")]
    Use {
        /// The hosts.
        hosts: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// DNS names under which the API server calls a Service.
pub fn names_of_service(namespace: &str, name: &str) -> Vec<String> {
    let short = format!("{name}.{namespace}");
    vec![format!("{short}.svc"), format!("{short}.svc.cluster.local"), short]
}

impl Authority {
    /// Opens what is kept in a folder that exists, and renews what is due. A file that cannot be read is made anew.
    ///
    /// `hosts` are DNS names or addresses; `localhost` and `127.0.0.1` are always among them.
    pub fn open(folder: &Path, hosts: &[String], now: Timestamp) -> Result<Self, AuthorityError> {
        let mut hosts = hosts.to_vec();
        hosts.extend(["localhost".to_owned(), "127.0.0.1".to_owned()]);
        hosts.sort();
        hosts.dedup();
        let kept = match fs::read(folder.join(FILE)).map(|json| serde_json::from_slice(&json)) {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) => {
                tracing::warn!(file = FILE, %error, "Certificates cannot be read and are made anew");
                Kept { roots: Vec::new(), leaf: None }
            }
            Err(_) => Kept { roots: Vec::new(), leaf: None },
        };
        let mut authority = Self { folder: folder.to_owned(), hosts, kept };
        authority.renew(now)?;
        if let Err(error) = authority.certified_key() {
            tracing::warn!(%error, "Certificates cannot be used and are made anew");
            authority.kept = Kept { roots: Vec::new(), leaf: None };
            authority.renew(now)?;
        }
        Ok(authority)
    }

    /// Renews what is due at `now`: forgets roots that ended, announces a new one in time, signs a leaf where a third of its
    /// life is left, its hosts changed, or its root is no longer the one that signs.
    pub fn renew(&mut self, now: Timestamp) -> Result<Renewed, AuthorityError> {
        let before = self.kept.roots.len();
        self.kept.roots.retain(|root| now < root.until);
        let mut changed = self.kept.roots.len() != before;
        if self.kept.roots.last().is_none_or(|root| due(now, root.until, limits::AUTHORITY_LIFE)) {
            let root = Root::new(now).map_err(|source| self.make(source))?;
            self.kept.roots.push(root);
            changed = true;
        }
        let Some(signer) = self.signer(now) else { return Ok(Renewed::Nothing) };
        let good = self.kept.leaf.as_ref().is_some_and(|leaf| {
            leaf.hosts == self.hosts && leaf.issuer == signer.name && !due(now, leaf.until, limits::LEAF_LIFE)
        });
        if !good {
            let leaf = Leaf::new(&self.hosts, signer, now).map_err(|source| self.make(source))?;
            self.kept.leaf = Some(leaf);
            changed = true;
        }
        if !changed {
            return Ok(Renewed::Nothing);
        }
        self.keep()?;
        Ok(Renewed::Something)
    }

    /// The newest root that was announced long enough ago; else the oldest.
    fn signer(&self, now: Timestamp) -> Option<&Root> {
        let known = |root: &&Root| {
            now.duration_since(root.from) >= signed(limits::AUTHORITY_OVERLAP + limits::CERTIFICATE_BACKDATE)
        };
        self.kept.roots.iter().rev().find(known).or(self.kept.roots.first())
    }

    /// The leaf, ready to be served.
    pub fn certified_key(&self) -> Result<Arc<CertifiedKey>, AuthorityError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| AuthorityError::Use {
            hosts: self.hosts.join(", "),
            source,
        };
        let leaf = self.kept.leaf.as_ref().ok_or_else(|| failed("there is none".into()))?;
        let chain =
            CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).map_err(|error| failed(error.into()))?;
        let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).map_err(|error| failed(error.into()))?;
        let key = CertifiedKey::from_der(vec![chain], key, &ring::default_provider());
        key.map(Arc::new).map_err(|error| failed(error.into()))
    }

    /// All roots that are trusted now, as PEM: the `caBundle` of our webhook configurations.
    pub fn bundle(&self) -> String {
        self.kept.roots.iter().map(|root| root.certificate.as_str()).collect()
    }

    /// The end of the leaf.
    pub fn expiry(&self) -> Timestamp {
        self.kept.leaf.as_ref().map_or(Timestamp::UNIX_EPOCH, |leaf| leaf.until)
    }

    fn make(&self, source: rcgen::Error) -> AuthorityError {
        AuthorityError::Make { hosts: self.hosts.join(", "), source }
    }

    /// Writes beside, syncs, then renames: a reader sees the old file or the new one.
    fn keep(&self) -> Result<(), AuthorityError> {
        let path = self.folder.join(FILE);
        let beside = self.folder.join(format!("{FILE}.new"));
        let write = || {
            let json = serde_json::to_vec(&self.kept)?;
            let _ = fs::remove_file(&beside); // else its mode would stay what it was
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(&json)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|source| AuthorityError::Keep { path, source })
    }
}

impl Root {
    fn new(now: Timestamp) -> Result<Self, rcgen::Error> {
        let (from, until) = (now - limits::CERTIFICATE_BACKDATE, now + limits::AUTHORITY_LIFE);
        let key = KeyPair::generate()?;
        let name = format!("landfast authority {now}");
        let certificate = Self::params(&name, from, until).self_signed(&key)?.pem();
        Ok(Self { certificate, key: key.serialize_pem(), name, from, until })
    }

    fn params(name: &str, from: Timestamp, until: Timestamp) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        valid(&mut params, from, until);
        params
    }
}

impl Leaf {
    fn new(hosts: &[String], root: &Root, now: Timestamp) -> Result<Self, rcgen::Error> {
        let until = (now + limits::LEAF_LIFE).min(root.until);
        let issuer = Issuer::new(Root::params(&root.name, root.from, root.until), KeyPair::from_pem(&root.key)?);
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(hosts.to_vec())?;
        params.distinguished_name.push(DnType::CommonName, "landfast");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        valid(&mut params, now - limits::CERTIFICATE_BACKDATE, until);
        let certificate = params.signed_by(&key, &issuer)?.pem();
        Ok(Self { certificate, key: key.serialize_pem(), hosts: hosts.to_vec(), issuer: root.name.clone(), until })
    }
}

/// Whether less than a third of a life is left.
fn due(now: Timestamp, until: Timestamp, life: Duration) -> bool {
    until.duration_since(now) < signed(life / 3)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// Sets from when until when a certificate holds; rcgen wants dates of the `time` crate.
fn valid(params: &mut CertificateParams, from: Timestamp, until: Timestamp) {
    let since_1970 = |at: Timestamp| Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    params.not_before = date_time_ymd(1970, 1, 1) + since_1970(from);
    params.not_after = date_time_ymd(1970, 1, 1) + since_1970(until);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use jiff::Timestamp;

    use crate::limits;
    use crate::serve::authority::{Authority, FILE, Renewed};

    fn hosts() -> Vec<String> {
        vec!["landfast.example.com".to_owned()]
    }

    fn now() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_restart_keeps_the_authority_and_the_leaf() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open(folder.path(), &hosts(), now()).unwrap();
        let again = Authority::open(folder.path(), &hosts(), now()).unwrap();
        assert_eq!(first.bundle(), again.bundle());
        assert_eq!(first.certified_key().unwrap().cert, again.certified_key().unwrap().cert);
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn other_hosts_get_another_leaf_of_the_same_authority() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open(folder.path(), &hosts(), now()).unwrap();
        let other = Authority::open(folder.path(), &["10.0.0.7".to_owned()], now()).unwrap();
        assert_eq!(first.bundle(), other.bundle());
        assert_ne!(first.certified_key().unwrap().cert, other.certified_key().unwrap().cert);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let torn = [&b"{\"roots\":["[..], br#"{"roots":[],"leaf":null}"#, b"\xff", b""];
        for bytes in torn {
            fs::write(folder.path().join(FILE), bytes).unwrap();
            let made = Authority::open(folder.path(), &hosts(), now()).unwrap();
            assert!(made.certified_key().is_ok() && made.bundle().contains("BEGIN CERTIFICATE"));
        }
    }

    #[test]
    fn a_key_that_does_not_parse_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut made = Authority::open(folder.path(), &hosts(), now()).unwrap();
        made.kept.leaf.as_mut().unwrap().key =
            ["BEGIN", "END"].map(|edge| format!("-----{edge} PRIVATE KEY-----\n")).join("AAAA\n");
        made.keep().unwrap();
        assert!(Authority::open(folder.path(), &hosts(), now()).unwrap().certified_key().is_ok());
    }

    #[test]
    fn a_leaf_is_renewed_while_a_third_of_its_life_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = Authority::open(folder.path(), &hosts(), now()).unwrap();
        let (bundle, leaf) = (authority.bundle(), authority.certified_key().unwrap());
        assert_eq!(authority.renew(now() + limits::LEAF_LIFE / 2).unwrap(), Renewed::Nothing);
        assert_eq!(authority.renew(now() + limits::LEAF_LIFE / 4 * 3).unwrap(), Renewed::Something);
        assert_eq!(authority.bundle(), bundle);
        assert_ne!(authority.certified_key().unwrap().cert, leaf.cert);
    }

    #[test]
    fn a_new_authority_is_announced_before_it_signs() {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = Authority::open(folder.path(), &hosts(), now()).unwrap();
        let old = authority.kept.roots[0].name.clone();
        let late = now() + limits::AUTHORITY_LIFE / 4 * 3;
        authority.renew(late).unwrap();
        assert_eq!(authority.bundle().matches("BEGIN CERTIFICATE").count(), 2);
        assert_eq!(authority.kept.leaf.as_ref().unwrap().issuer, old);
        authority.renew(late + limits::AUTHORITY_OVERLAP).unwrap();
        assert_ne!(authority.kept.leaf.as_ref().unwrap().issuer, old);
        authority.renew(now() + limits::AUTHORITY_LIFE).unwrap();
        assert_eq!(authority.bundle().matches("BEGIN CERTIFICATE").count(), 1);
    }
}
