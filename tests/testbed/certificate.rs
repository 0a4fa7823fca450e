//! Which certificates and keys does the control plane need?
//!
//! An authority, a serving certificate for 127.0.0.1 and a key that signs ServiceAccount tokens: made anew for each
//! control plane, valid for loopback only.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// Writes `ca.crt`, `server.crt`, `server.key`, `accounts.key` and `accounts.pub` into a folder.
pub fn write(folder: &Path) {
    make(folder).unwrap_or_else(|error| panic!("cannot make certificates in {}: {error}", folder.display()));
}

fn make(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "landfast testbed");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority_key = KeyPair::generate()?;
    fs::write(folder.join("ca.crt"), authority.self_signed(&authority_key)?.pem())?;

    let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(String::from);
    let mut server = CertificateParams::new(names)?;
    server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server_key = KeyPair::generate()?;
    let issuer = Issuer::new(authority, authority_key);
    fs::write(folder.join("server.crt"), server.signed_by(&server_key, &issuer)?.pem())?;
    fs::write(folder.join("server.key"), server_key.serialize_pem())?;
    let accounts = KeyPair::generate()?;
    fs::write(folder.join("accounts.key"), accounts.serialize_pem())?;
    fs::write(folder.join("accounts.pub"), accounts.public_key_pem())?;
    Ok(())
}
