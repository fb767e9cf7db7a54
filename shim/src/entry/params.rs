//! What containerd says to `start`: flags, environment and stdin, in two dialects.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result, bail};
use containerd_shim::bootstrap::{BootstrapParams, BootstrapResult, LogLevel};
use containerd_shim::protos::protobuf::Message;
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::{Flags, StartOpts};
use serde_json::json;

/// Bound on stdin, containerd's own.
const MAX_INPUT: u64 = 10 << 20;
/// The task service that old containerds speak.
const TASK_V2: i32 = 2;
/// The task service of containerd 2.
const TASK_V3: i32 = 3;

/// How containerd talks to us, which decides how we answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `BootstrapParams` on stdin (containerd 2.3 and later).
    Bootstrap,
    /// Runtime options or nothing on stdin, the rest in flags and environment.
    Flags,
}

/// Everything `start` knows.
#[derive(Debug)]
pub(super) struct Params {
    pub(super) dialect: Dialect,
    pub(super) opts: StartOpts,
}

impl Params {
    /// Reads stdin and puts it together with the flags and `ttrpc_address` from the environment.
    pub(super) fn read(flags: &Flags, ttrpc_address: Option<String>) -> Result<Self> {
        Self::parse(&stdin()?, flags, ttrpc_address)
    }

    pub(super) fn parse(input: &[u8], flags: &Flags, ttrpc_address: Option<String>) -> Result<Self> {
        let bootstrap = BootstrapParams::parse_from_bytes(input).ok().filter(|params| !params.instance_id.is_empty());
        let (dialect, mut opts) = match bootstrap {
            Some(params) if params.instance_id == flags.id => {
                if params.namespace != flags.namespace {
                    bail!("the bootstrap parameters are for another namespace");
                }
                (Dialect::Bootstrap, StartOpts::from(params))
            }
            // An Any decodes as BootstrapParams with its type as id and its value as namespace, and
            // nothing else. More than that is meant for another shim.
            Some(params) if is_more_than_any(&params) => {
                bail!("the bootstrap parameters are for another container");
            }
            _ => (Dialect::Flags, from_flags(input, flags)),
        };
        if opts.ttrpc_address.is_empty() {
            opts.ttrpc_address = ttrpc_address.unwrap_or_default();
        }
        if opts.ttrpc_address.is_empty() {
            bail!("containerd's ttrpc address is missing: TTRPC_ADDRESS is not set");
        }
        opts.debug |= flags.debug;
        Ok(Self { dialect, opts })
    }

    /// The runtime options, if any came along.
    pub(super) fn options(&self) -> Option<&Any> {
        self.opts.extensions.iter().find(|any| {
            let kind = any.type_url.rsplit('/').next();
            matches!(kind, Some("containerd.runc.v1.Options" | "runtimeoptions.v1.Options"))
        })
    }

    /// The answer: where the task service is, and which one.
    pub(super) fn answer(&self, address: &str) -> Result<Vec<u8>> {
        match self.dialect {
            // containerd 2.0 to 2.2 bridge version 2; 1.7 knows nothing else.
            Dialect::Flags => Ok(serde_json::to_vec(&json!({
                "version": TASK_V2,
                "address": address,
                "protocol": "ttrpc",
            }))?),
            Dialect::Bootstrap => BootstrapResult {
                version: TASK_V3,
                address: address.to_owned(),
                protocol: "ttrpc".to_owned(),
                ..BootstrapResult::default()
            }
            .write_to_bytes()
            .context("cannot encode the answer"),
        }
    }
}

fn is_more_than_any(params: &BootstrapParams) -> bool {
    let any_like = BootstrapParams {
        instance_id: params.instance_id.clone(),
        namespace: params.namespace.clone(),
        ..BootstrapParams::default()
    };
    *params != any_like
}

fn from_flags(input: &[u8], flags: &Flags) -> StartOpts {
    let options = Any::parse_from_bytes(input).ok().filter(|any| !any.type_url.is_empty());
    StartOpts {
        id: flags.id.clone(),
        namespace: flags.namespace.clone(),
        address: flags.address.clone(),
        publish_binary: flags.publish_binary.clone(),
        debug: flags.debug,
        log_level: if flags.debug { LogLevel::LOG_LEVEL_DEBUG } else { LogLevel::LOG_LEVEL_INFO },
        extensions: options.into_iter().collect(),
        ..StartOpts::default()
    }
}

/// What is piped in; nothing when a person runs the program at a terminal.
pub(super) fn stdin() -> Result<Vec<u8>> {
    let stdin = std::io::stdin();
    let mut input = Vec::new();
    if !stdin.is_terminal() {
        stdin.lock().take(MAX_INPUT).read_to_end(&mut input).context("cannot read stdin")?;
    }
    Ok(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use containerd_shim::bootstrap::Extension;
    use containerd_shim::protos::protobuf::MessageField;

    fn flags() -> Flags {
        Flags {
            id: "c1".into(),
            namespace: "k8s.io".into(),
            address: "/run/containerd/containerd.sock".into(),
            ..Flags::default()
        }
    }

    fn any() -> Any {
        Any { type_url: "containerd.runc.v1.Options".into(), value: vec![0x32, 1, b'x'], ..Any::default() }
    }

    fn bootstrap(id: &str) -> Vec<u8> {
        BootstrapParams {
            instance_id: id.into(),
            namespace: "k8s.io".into(),
            containerd_ttrpc_address: "/t".into(),
            containerd_grpc_address: "/g".into(),
            socket_dir: Some("/tmp/s".into()),
            extensions: vec![Extension { value: MessageField::some(any()), ..Extension::default() }],
            ..BootstrapParams::default()
        }
        .write_to_bytes()
        .unwrap()
    }

    #[test]
    fn empty_stdin_and_options_are_the_old_dialect_and_get_version_2() {
        let options = any().write_to_bytes().unwrap();
        for (input, with_options) in [(vec![], false), (options, true)] {
            let params = Params::parse(&input, &flags(), Some("/t".into())).unwrap();
            assert_eq!(params.dialect, Dialect::Flags);
            assert_eq!(params.options().is_some(), with_options);
            assert_eq!(params.opts.address, "/run/containerd/containerd.sock");
            assert_eq!(params.opts.ttrpc_address, "/t");
            let answer = params.answer("unix:///s").unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!(answer, json!({"version": 2, "address": "unix:///s", "protocol": "ttrpc"}));
        }
    }

    #[test]
    fn bootstrap_parameters_are_the_new_dialect_and_get_version_3() {
        let params = Params::parse(&bootstrap("c1"), &flags(), None).unwrap();
        assert_eq!(params.dialect, Dialect::Bootstrap);
        assert_eq!(params.options(), Some(&any()));
        assert!(params.opts.socket_address("c1").starts_with("unix:///tmp/s/"));
        let answer = params.answer("unix:///s").unwrap();
        let answer = BootstrapResult::parse_from_bytes(&answer).unwrap();
        assert_eq!((answer.version, answer.address.as_str()), (3, "unix:///s"));
    }

    #[test]
    fn parameters_of_another_container_and_a_missing_address_are_refused() {
        assert!(Params::parse(&bootstrap("c2"), &flags(), Some("/t".into())).is_err());
        let error = Params::parse(&[], &flags(), None).unwrap_err();
        assert!(error.to_string().contains("TTRPC_ADDRESS"), "{error}");
    }
}
