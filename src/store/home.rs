//! What a store lives on, told from a copy of it. Pure: what is compared is read in `sqlite.rs`, `postgres.rs` and
//! `machine.rs`. Where nothing can be told, nothing is said: a guard that cries wolf would be turned off.

use serde::{Deserialize, Serialize};

/// What a store lives on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Home {
    /// A file. What its filesystem or the host doesn't tell is `None`.
    Sqlite {
        /// When the file was made, in nanoseconds since 1970: no program can set it, and a copy is another file. It
        /// stays over `VACUUM`, a rename and a remount.
        born: Option<String>,
        /// Its inode, for filesystems that don't tell when a file was made.
        inode: Option<u64>,
        /// A digest of the machine's id.
        machine: Option<String>,
    },
    /// A database of a server.
    Postgres {
        /// Made by initdb; a copy of the data directory has the same. `None` where the role may not read it.
        system: Option<i64>,
        /// The database's number; one that was dropped and made again has another.
        database: i64,
        /// Rises when a replica is promoted, and when a backup is recovered to a point in time. `None`: not known.
        timeline: Option<i64>,
    },
}

/// How what a store lives on differs from what it last lived on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It doesn't, as far as can be told.
    Nothing,
    /// A replica was promoted, or a backup was recovered to a point in time: from here they look alike.
    Promoted,
    /// It is another place; which, in words.
    Elsewhere(String),
}

/// Where a store stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// What it last lived on; `None` in a store that was just made.
    pub before: Option<Home>,
    /// What it lives on.
    pub now: Home,
    /// Why nothing may be refreshed until somebody accepts the store.
    pub fence: Option<String>,
}

impl Whereabouts {
    /// How the two differ.
    pub fn change(&self) -> Change {
        self.before.as_ref().map_or(Change::Nothing, |before| self.now.since(before))
    }
}

impl Home {
    /// How this differs from what was `before`.
    pub fn since(&self, before: &Self) -> Change {
        let elsewhere = |why: String| Change::Elsewhere(why);
        match (self, before) {
            (Self::Sqlite { .. }, Self::Sqlite { machine, .. })
                if differ(self.machine(), machine.as_ref()) =>
            {
                elsewhere("it was last used on another machine".to_owned())
            }
            (
                Self::Sqlite { born, inode, .. },
                Self::Sqlite { born: born_before, inode: inode_before, .. },
            ) => {
                // The moment alone tells, where it is known: inodes change on some filesystems.
                let other = match (born, born_before) {
                    (Some(now), Some(before)) => now != before,
                    _ => differ(inode.as_ref(), inode_before.as_ref()),
                };
                match other {
                    true => elsewhere("its file is a copy of the one that was last used".to_owned()),
                    false => Change::Nothing,
                }
            }
            (
                Self::Postgres { system, database, timeline },
                Self::Postgres {
                    system: system_before,
                    database: database_before,
                    timeline: timeline_before,
                },
            ) => {
                if differ(system.as_ref(), system_before.as_ref()) {
                    return elsewhere("it was last used in another PostgreSQL cluster".to_owned());
                }
                if database != database_before {
                    return elsewhere("it was last used as another database of this server".to_owned());
                }
                match (timeline, timeline_before) {
                    (Some(now), Some(before)) if now > before => Change::Promoted,
                    (Some(now), Some(before)) if now < before => elsewhere(format!(
                        "its server went on from timeline {before}, and this is one that stayed on timeline {now}"
                    )),
                    _ => Change::Nothing,
                }
            }
            _ => elsewhere("it was last used in another kind of database".to_owned()),
        }
    }

    /// The same, with what is not told now as it was told `before`: of one place, not of two.
    pub fn completed(&self, before: Option<&Self>) -> Self {
        match (self, before) {
            (
                Self::Sqlite { born, inode, machine },
                Some(Self::Sqlite { born: born_before, inode: inode_before, machine: machine_before }),
            ) => Self::Sqlite {
                born: born.clone().or_else(|| born_before.clone()),
                inode: inode.or(*inode_before),
                machine: machine.clone().or_else(|| machine_before.clone()),
            },
            (
                Self::Postgres { system, database, timeline },
                Some(Self::Postgres { system: system_before, timeline: timeline_before, .. }),
            ) => Self::Postgres {
                system: system.or(*system_before),
                database: *database,
                timeline: timeline.or(*timeline_before),
            },
            _ => self.clone(),
        }
    }

    fn machine(&self) -> Option<&String> {
        match self {
            Self::Sqlite { machine, .. } => machine.as_ref(),
            Self::Postgres { .. } => None,
        }
    }
}

/// Whether both are known, and are not the same.
fn differ<T: PartialEq>(now: Option<T>, before: Option<T>) -> bool {
    matches!((now, before), (Some(now), Some(before)) if now != before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(born: &str, inode: u64, machine: &str) -> Home {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Home::Sqlite { born: some(born), inode: (inode > 0).then_some(inode), machine: some(machine) }
    }

    fn database(system: i64, database: i64, timeline: i64) -> Home {
        Home::Postgres { system: (system > 0).then_some(system), database, timeline: Some(timeline) }
    }

    fn moved(now: &Home, before: &Home) -> bool {
        matches!(now.since(before), Change::Elsewhere(_))
    }

    #[test]
    fn a_copy_of_a_file_is_told_from_the_file() {
        let home = file("17", 4, "here");
        assert!(moved(&file("18", 5, "here"), &home), "cp");
        assert!(moved(&file("17", 4, "there"), &home), "an image of the disk on another machine");
        assert!(moved(&file("", 5, ""), &file("", 4, "")), "by the inode, where nothing else is known");
    }

    #[test]
    fn what_changes_on_one_host_without_a_copy_is_no_move() {
        let home = file("17", 4, "here");
        for same in [
            home.clone(),
            file("17", 900, "here"), // a filesystem that numbers anew at each mount
            file("17", 4, ""),       // a container without a machine id
            file("", 4, "here"),     // a kernel that doesn't tell when it was made
            file("", 0, "here"),     // a filesystem that tells nothing
        ] {
            assert_eq!(same.since(&home), Change::Nothing, "{same:?}");
            assert_eq!(home.since(&same), Change::Nothing, "{same:?}");
        }
    }

    #[test]
    fn what_is_not_told_any_more_is_not_forgotten() {
        let home = file("17", 4, "here");
        assert_eq!(file("", 5, "").completed(Some(&home)), file("17", 5, "here"));
        assert_eq!(database(0, 5, 2).completed(Some(&database(7, 5, 1))), database(7, 5, 2));
        assert_eq!(home.completed(None), home);
    }

    #[test]
    fn a_database_is_told_by_its_cluster_its_number_and_its_timeline() {
        let home = database(7, 16_384, 2);
        assert_eq!(home.since(&home), Change::Nothing);
        assert!(moved(&database(8, 16_384, 2), &home), "a dump that was restored elsewhere, pg_upgrade");
        assert!(moved(&database(7, 16_385, 2), &home), "dropped and restored");
        assert!(moved(&database(7, 16_384, 1), &home), "the old primary");
        assert!(moved(&file("17", 4, "here"), &home) && moved(&home, &file("17", 4, "here")));
        assert_eq!(database(7, 16_384, 3).since(&home), Change::Promoted);
        assert_eq!(database(0, 16_384, 2).since(&home), Change::Nothing, "a role that may not look");
    }
}
