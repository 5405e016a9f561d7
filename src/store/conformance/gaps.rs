//! Where plays may be missing.

use super::archive::gap;
use super::{Bench, START};
use crate::domain::{Gap, GapCause};
use crate::store::PageStored;

pub async fn a_gap_is_on_record_once_counts_the_most_and_is_open_until_it_is_closed(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let other_cause = Gap { cause: GapCause::Unreadable, ..gap(1, 5) };
    let store = async |gaps: &[Gap]| {
        let page = PageStored { gaps: gaps.to_vec(), ..bench.page(alice, &[]).await };
        let added = bench.store.store_page(&page).await.unwrap().gaps;
        (added, bench.store.gaps(alice).await.unwrap(), bench.user("alice").await.gaps)
    };
    let both = vec![other_cause.clone(), gap(7, 8)];
    assert_eq!(
        store(&[gap(7, 8), other_cause.clone()]).await,
        (both.clone(), vec![gap(7, 8), other_cause.clone()], 2)
    );
    let third = vec![gap(1, 5)];
    let (added, on_record, open) = store(&[gap(1, 5), gap(7, 8)]).await;
    assert_eq!((added, on_record.len(), open), (third, 3, 3), "a gap of another cause is another gap");

    let more = Gap { at_most: 40, ..gap(7, 8) };
    let fewer = Gap { at_most: 2, closed_at: Some(START), ..other_cause.clone() };
    let (added, on_record, open) = store(&[more.clone(), fewer]).await;
    assert_eq!((added, open), (vec![], 2));
    let closed = Gap { closed_at: Some(START), ..other_cause.clone() };
    assert!(on_record.contains(&more) && on_record.contains(&closed), "{on_record:?}");
    let (added, on_record, open) = store(std::slice::from_ref(&other_cause)).await;
    assert_eq!((added, open), (vec![], 3), "a closed gap may turn out to be open");
    assert!(on_record.contains(&other_cause));
}

pub async fn gaps_come_newest_first(bench: &Bench) {
    let alice = bench.add("alice").await.id;
    let closed = Gap { cause: GapCause::ListenedTooFast, closed_at: Some(START), ..gap(30, 31) };
    for gap in [gap(10, 11), closed.clone(), gap(20, 21)] {
        let page = PageStored { gaps: vec![gap], ..bench.page(alice, &[]).await };
        bench.store.store_page(&page).await.unwrap();
    }
    assert_eq!(bench.store.gaps(alice).await.unwrap(), [closed, gap(20, 21), gap(10, 11)]);
}
