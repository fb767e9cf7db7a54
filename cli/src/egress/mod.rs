//! `zerocap egress`: what a container's packet fence lets through, what it refused, and what would permit that.

mod names;
mod prometheus;
mod show;
mod suggest;
mod view;
mod watch;

use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;
use serde_json::json;
use zerocap_annotations::{ZcError, code};
use zerocap_node::state::{Entry, Store};

use crate::args::{Arguments, Egress, EgressOutput};
use crate::failure::Failure;
use crate::out::{out, outln};
use crate::status;
use view::View;

/// The schema of the JSON form.
#[cfg(test)]
const SCHEMA: &str = include_str!("../../../docs/egress.schema.json");

/// Shows the fence of one container, or of all.
pub fn run(arguments: &Egress) -> Result<ExitCode, Failure> {
    let store = Store::of_node();
    match &arguments.id {
        None => all(&store, arguments.output),
        Some(id) => one(&store, &status::entry(&store, id)?, arguments),
    }
}

fn one(store: &Store, entry: &Entry, arguments: &Egress) -> Result<ExitCode, Failure> {
    let Some(view) = View::of(store, entry)? else {
        return Err(Failure::refused(ZcError::new(
            code::fence::NONE,
            format!("the container {} has no packet fence", entry.id),
            "look at `zerocap status` for its network-enforcement; only platform mode has a fence",
        )));
    };
    if arguments.suggest {
        suggest::print(&view);
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.watch && arguments.output == EgressOutput::Prometheus {
        let text = "--watch goes with --output table or json";
        Arguments::command().error(ErrorKind::ArgumentConflict, text).exit();
    }
    if arguments.watch {
        return watch::run(store, entry, view, arguments.output);
    }
    match arguments.output {
        EgressOutput::Table => show::one(&view),
        EgressOutput::Json => outln!("{:#}", json!(view)),
        EgressOutput::Prometheus => out!("{}", prometheus::text(&[view])),
    }
    Ok(ExitCode::SUCCESS)
}

fn all(store: &Store, output: EgressOutput) -> Result<ExitCode, Failure> {
    let mut views = Vec::new();
    for entry in store.list().map_err(Failure::bad_input)? {
        views.extend(View::of(store, &entry)?);
    }
    match output {
        EgressOutput::Table => show::list(&views),
        EgressOutput::Json => outln!("{:#}", json!(views)),
        EgressOutput::Prometheus => out!("{}", prometheus::text(&views)),
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every field of the form is in the schema, and the other way round.
    #[test]
    fn the_schema_names_every_field() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).expect("JSON");
        let shown = json!(view::example());
        let keys = |value: &serde_json::Value| -> Vec<String> {
            value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
        };
        assert_eq!(keys(&shown), keys(&schema["properties"]));
        for (list, definition) in [("destinations", "destination"), ("addresses", "address"), ("refusals", "refusal")] {
            assert_eq!(keys(&shown[list][0]), keys(&schema["$defs"][definition]["properties"]), "{list}");
        }
        assert_eq!(keys(&shown["counters"]), keys(&schema["$defs"]["counters"]["properties"]));
        let names = &shown["names"];
        assert_eq!(keys(names), keys(&schema["$defs"]["names"]["properties"]));
        for (list, definition) in [("names", "name"), ("unlisted", "unlisted"), ("blocked", "blocked")] {
            assert_eq!(keys(&names[list][0]), keys(&schema["$defs"][definition]["properties"]), "{list}");
        }
        assert_eq!(keys(&names["names"][0]["addresses"][0]), keys(&schema["$defs"]["name-address"]["properties"]));
        assert_eq!(keys(&names["questions"]), keys(&schema["$defs"]["questions"]["properties"]));
        let states: Vec<_> = names::states().map(|state| json!(state)).collect();
        assert_eq!(json!(states), schema["$defs"]["name"]["properties"]["state"]["enum"]);
        assert!(names::states().all(|state| json!(state) == state.word()));
        let described =
            schema["$defs"].as_object().into_iter().flatten().chain([(&String::new(), &schema)]).all(|(_, of)| {
                of["properties"].as_object().is_some_and(|all| all.values().all(|it| it["description"].is_string()))
            });
        assert!(described, "a field has no description");
    }
}
