//! Programs and maps of one container, loaded but not in force yet.

use std::os::fd::OwnedFd;

use zerocap_annotations::PacketRules;

use crate::entries::Entries;
use crate::error::FenceError;
use crate::group::{Group, Tree};
use crate::maps::{Map, Maps};
use crate::permits::Permits;
use crate::refusal::Reader;
use crate::{programs, sys};

/// A fence that was loaded. Dropping it closes its descriptors: what was attached stays, the rest is gone.
pub struct Loaded {
    maps: Maps,
    programs: Vec<(&'static str, u32, OwnedFd)>,
}

impl Loaded {
    /// Loads programs and maps for these rules.
    ///
    /// # Errors
    /// The rules are over the bounds, or the kernel refuses a map or a program.
    pub fn new(rules: &PacketRules) -> Result<Self, FenceError> {
        let maps = Maps::new(rules)?;
        let programs = programs::load(&maps)?;
        Ok(Self { maps, programs })
    }

    /// Puts the programs on a group, beside whatever is there, and returns their ids.
    ///
    /// # Errors
    /// A group above has programs that do not go together with ours, or the kernel refuses.
    pub fn attach(&self, tree: &Tree, group: &Group) -> Result<Vec<u32>, FenceError> {
        check_parents(tree, group)?;
        let mut ids = Vec::with_capacity(self.programs.len());
        for (hook, attach, program) in &self.programs {
            let failed = |source| FenceError::Attach { group: group.path().to_owned(), hook, source };
            sys::prog_attach(group, program, *attach).map_err(failed)?;
            ids.push(sys::prog_id(program).map_err(failed)?);
        }
        check(group, &ids)?;
        Ok(ids)
    }

    /// Whoever takes refusals from the ring; one at a time, as for [`crate::Attached::reader`].
    ///
    /// # Errors
    /// The ring cannot be mapped.
    pub fn reader(&self) -> Result<Reader, FenceError> {
        let reader = self.maps.get(Map::Refusals).try_clone().and_then(Reader::of);
        reader.map_err(|source| FenceError::Entry { map: Map::Refusals.name(), source })
    }

    /// The way to the table of addresses, for what becomes known later.
    ///
    /// # Errors
    /// There is no descriptor left, or the rules are not those of the fence.
    pub fn permits(&self, rules: &PacketRules) -> Result<Permits, FenceError> {
        let failed = |source| FenceError::Entry { map: Map::Exact.name(), source };
        let map = self.maps.get(Map::Exact).try_clone().map_err(failed)?;
        Ok(Permits::new(map, Entries::of(rules)?))
    }
}

/// Whether programs with these ids, one per hook, are on the group.
///
/// # Errors
/// One is not.
pub(crate) fn check(group: &Group, ids: &[u32]) -> Result<(), FenceError> {
    let wrong = |what: String| FenceError::NotInForce(format!("the cgroup {}: {what}", group.path()));
    if ids.len() != programs::hooks().count() {
        return Err(wrong(format!("{} programs are known, a fence has {}", ids.len(), programs::hooks().count())));
    }
    for ((hook, attach), id) in programs::hooks().zip(ids) {
        let (found, _) = sys::prog_query(group, attach).map_err(|error| wrong(format!("{hook}: {error}")))?;
        if !found.contains(id) {
            return Err(wrong(format!("the {hook} program {id} of the packet fence is not attached")));
        }
    }
    Ok(())
}

/// A program that excludes others makes ours impossible; one that may be overridden would stop for this container as soon
/// as ours is there, and it may be somebody's fence.
fn check_parents(tree: &Tree, group: &Group) -> Result<(), FenceError> {
    let mut path = group.path().trim_end_matches('/');
    while let Some((parent, _)) = path.rsplit_once('/') {
        path = parent;
        let parent = tree.group(if path.is_empty() { "/" } else { path })?;
        for (hook, attach) in programs::hooks() {
            let query = sys::prog_query(&parent, attach);
            let (found, flags) = query.map_err(|source| FenceError::Group {
                what: "ask for programs of",
                group: parent.path().to_owned(),
                source,
            })?;
            if !found.is_empty() && flags & sys::ALLOW_MULTI == 0 {
                let how = if flags == 0 { "exclusively" } else { "so that ours would switch it off" };
                return Err(FenceError::Parent { group: parent.path().to_owned(), hook, how });
            }
        }
    }
    Ok(())
}
