//! Who writes to the control plane of the testbed?
//!
//! Nobody but [`User::Admin`] is a cluster administrator: an administrator passes every authorisation check, so
//! nothing about permissions is proved with one. The rights are in `rbac.yaml`.

use std::path::Path;

/// One identity, known to the API server by a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum User {
    /// In `system:masters`.
    Admin,
    /// A person who may edit workloads.
    Alice,
    /// Another one.
    Bob,
    /// A person of the group `sre`, who may also break the glass.
    Oncall,
    /// A CI account that deploys.
    Ci,
    /// Argo CD's application controller.
    ArgoCd,
    /// Flux's kustomize-controller.
    Flux,
    /// An operator: a ServiceAccount that deploys nothing.
    Operator,
    /// Landfast itself.
    Landfast,
    /// The control plane's own controller manager.
    ControllerManager,
    /// Asks what the API server makes of thousands of writes: an administrator whom the audit log leaves out.
    Judge,
}

impl User {
    /// Everybody whom the API server knows.
    pub const ALL: [Self; 11] = [
        Self::Admin,
        Self::Alice,
        Self::Bob,
        Self::Oncall,
        Self::Ci,
        Self::ArgoCd,
        Self::Flux,
        Self::Operator,
        Self::Landfast,
        Self::ControllerManager,
        Self::Judge,
    ];

    /// Returns the user name as an AdmissionReview shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Alice => "alice",
            Self::Bob => "bob",
            Self::Oncall => "oncall",
            Self::Ci => "ci",
            Self::ArgoCd => "system:serviceaccount:argocd:argocd-application-controller",
            Self::Flux => "system:serviceaccount:flux-system:kustomize-controller",
            Self::Operator => "system:serviceaccount:operators:shop-operator",
            Self::Landfast => "system:serviceaccount:landfast-system:landfast",
            Self::ControllerManager => "system:kube-controller-manager",
            Self::Judge => "judge",
        }
    }

    /// Returns the word that its kubeconfig file is called by.
    pub fn short(self) -> &'static str {
        match self {
            Self::ArgoCd => "argocd",
            Self::Flux => "flux",
            Self::Operator => "operator",
            Self::Landfast => "landfast",
            Self::ControllerManager => "controller-manager",
            Self::Admin | Self::Alice | Self::Bob | Self::Oncall | Self::Ci | Self::Judge => self.name(),
        }
    }

    fn groups(self) -> &'static str {
        match self {
            Self::Admin | Self::Judge => "system:masters",
            Self::Oncall => "sre",
            Self::ArgoCd => "system:serviceaccounts,system:serviceaccounts:argocd",
            Self::Flux => "system:serviceaccounts,system:serviceaccounts:flux-system",
            Self::Operator => "system:serviceaccounts,system:serviceaccounts:operators",
            Self::Landfast => "system:serviceaccounts,system:serviceaccounts:landfast-system",
            Self::Alice | Self::Bob | Self::Ci | Self::ControllerManager => "",
        }
    }

    fn token(self) -> String {
        // No secret: the server listens on loopback and lives as long as the test.
        format!("token-of-{}", self.short())
    }

    /// Returns the lines of `--token-auth-file`.
    pub fn token_file() -> String {
        let line = |user: Self| match user.groups() {
            // An empty fourth column would be a group without a name.
            "" => format!("{},{},{}\n", user.token(), user.name(), user.short()),
            groups => format!("{},{},{},\"{groups}\"\n", user.token(), user.name(), user.short()),
        };
        Self::ALL.into_iter().map(line).collect()
    }

    /// Returns a kubeconfig for this user.
    pub fn kubeconfig(self, server: &str, authority: &Path) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: testbed\n\
             clusters: [{{ name: testbed, cluster: {{ server: \"{server}\", certificate-authority: \"{}\" }} }}]\n\
             contexts: [{{ name: testbed, context: {{ cluster: testbed, user: \"{}\" }} }}]\n\
             users: [{{ name: \"{}\", user: {{ token: \"{}\" }} }}]\n",
            authority.display(),
            self.name(),
            self.name(),
            self.token(),
        )
    }
}
