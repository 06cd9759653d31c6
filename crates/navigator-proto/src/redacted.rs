//! Debug output of messages that carry secrets: their name and nothing else, so that no log shows one.

use std::fmt;

macro_rules! without_fields {
    ($($message:ty),+ $(,)?) => {
        $(impl fmt::Debug for $message {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.debug_struct(stringify!($message)).finish_non_exhaustive()
            }
        })+
    };
}

without_fields!(
    crate::datamodel::v1::Provider,
    crate::datamodel::v1::SandboxSpec,
    crate::datamodel::v1::SandboxTemplate,
    crate::inference::v1::InferenceRouteSpec,
    crate::inference::v1::SandboxResolvedRoute,
    crate::session::v1::Launch,
    crate::session::v1::ProviderEnvironment,
    crate::session::v1::ExecRequest,
    crate::session::v1::FromProcess,
    crate::session::v1::ToProcess,
    crate::v1::CreateSshSessionResponse,
    crate::v1::ExecSandboxRequest,
    crate::v1::ExecInteractiveRequest,
    crate::v1::ExecStart,
    crate::v1::GetSandboxProviderEnvironmentResponse,
    crate::v1::RevokeSshSessionRequest,
    crate::v1::SshSession,
);
