//! How does the API server reach us? By the address that it was told at start.

use anyhow::Context as _;

use crate::app::OWN_NAMESPACE;
use crate::cluster::webhook::Backend;
use crate::serve::authority;

/// How the API server reaches us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reachable {
    pub(super) backend: Backend,
    /// Names and addresses that our certificate must carry.
    pub(super) hosts: Vec<String>,
    /// Our Namespace.
    pub(super) namespace: String,
}

impl Reachable {
    /// From `--url https://HOST:PORT` or `--service NS/NAME`; nothing of both is no webhook configuration.
    pub fn parse(url: Option<&str>, service: Option<&str>) -> anyhow::Result<Option<Self>> {
        if let Some(url) = url {
            let parsed: axum::http::Uri = url.parse().with_context(|| format!("--url {url}"))?;
            let plain = parsed.scheme_str() == Some("https") && parsed.path() == "/" && parsed.query().is_none();
            let host = parsed.host().filter(|_| plain);
            let host = host.with_context(|| format!("--url {url} is not of the form https://HOST:PORT"))?;
            return Ok(Some(Self {
                backend: Backend::Url(url.trim_end_matches('/').to_owned()),
                hosts: vec![host.trim_matches(['[', ']']).to_owned()],
                namespace: OWN_NAMESPACE.to_owned(),
            }));
        }
        let Some(service) = service else { return Ok(None) };
        let parts = service.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
        let (namespace, name) = parts.with_context(|| format!("--service {service} is not of the form NS/NAME"))?;
        Ok(Some(Self {
            backend: Backend::Service { namespace: namespace.to_owned(), name: name.to_owned() },
            hosts: authority::names_of_service(namespace, name),
            namespace: namespace.to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::app::reachable::Reachable;
    use crate::cluster::webhook::Backend;

    #[test]
    fn a_url_names_host_and_port_only() {
        let reach = Reachable::parse(Some("https://10.0.0.7:9443/"), None).unwrap().unwrap();
        assert_eq!(reach.backend, Backend::Url("https://10.0.0.7:9443".to_owned()));
        assert_eq!(reach.hosts, ["10.0.0.7"]);
        for wrong in ["http://a:1", "https://a:1/validate", "https://a:1/?x=y", "a:1", ""] {
            assert!(Reachable::parse(Some(wrong), None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_service_names_its_namespace() {
        let reach = Reachable::parse(None, Some("landfast-system/landfast")).unwrap().unwrap();
        assert_eq!(reach.namespace, "landfast-system");
        assert!(reach.hosts.contains(&"landfast.landfast-system.svc".to_owned()), "{:?}", reach.hosts);
        assert!(Reachable::parse(None, Some("landfast")).is_err());
        assert_eq!(Reachable::parse(None, None).unwrap(), None);
    }
}
