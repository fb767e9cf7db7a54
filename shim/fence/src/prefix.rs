//! Ranges of ports as prefixes, which is what a longest-prefix map has.

/// The fewest prefixes that cover a range exactly: first port, and how many of the 16 bits count.
pub(crate) fn prefixes((first, last): (u16, u16)) -> Vec<(u16, u32)> {
    let (mut at, end) = (u32::from(first), u32::from(last) + 1);
    let mut found = Vec::new();
    while at < end {
        let aligned = if at == 0 { 16 } else { at.trailing_zeros().min(16) };
        let fits = (end - at).ilog2();
        let bits = aligned.min(fits);
        found.push((at as u16, 16 - bits));
        at += 1 << bits;
    }
    found
}

/// Sorted ranges without overlaps and neighbours.
pub(crate) fn merged(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if u32::from(first) <= u32::from(before.1) + 1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covers((base, bits): (u16, u32), port: u16) -> bool {
        bits == 0 || (base ^ port) >> (16 - bits) == 0
    }

    #[test]
    fn whole_and_single() {
        assert_eq!(prefixes((0, 65535)), [(0, 0)]);
        assert_eq!(prefixes((443, 443)), [(443, 16)]);
        assert_eq!(prefixes((1, 65535)).len(), 16);
        assert_eq!(prefixes((1, 65534)).len(), 30);
        assert_eq!(merged(vec![(5, 9), (1, 2), (3, 4), (20, 30), (25, 26)]), [(1, 9), (20, 30)]);
        assert_eq!(merged(vec![(65535, 65535), (0, 65535)]), [(0, 65535)]);
    }

    proptest! {
        #[test]
        fn a_range_and_nothing_else(a: u16, b: u16, port: u16) {
            let range = (a.min(b), a.max(b));
            for port in [port, range.0, range.1, range.0.wrapping_sub(1), range.1.wrapping_add(1)] {
                let hits = prefixes(range).into_iter().filter(|prefix| covers(*prefix, port)).count();
                prop_assert_eq!(hits, usize::from((range.0..=range.1).contains(&port)));
            }
        }

        #[test]
        fn merging_changes_nothing_but_the_form(ranges in proptest::collection::vec((0u16..200, 0u16..20), 0..12), port in 0u16..230) {
            let ranges: Vec<_> = ranges.into_iter().map(|(first, more)| (first, first + more)).collect();
            let within = |all: &[(u16, u16)]| all.iter().filter(|(first, last)| (*first..=*last).contains(&port)).count();
            let merged = merged(ranges.clone());
            prop_assert_eq!(within(&merged), usize::from(within(&ranges) > 0));
            prop_assert!(merged.windows(2).all(|two| two[0].1 < two[1].0 - 1));
        }
    }
}
