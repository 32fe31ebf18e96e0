//! Several runs of one kernel as one: those of `--shard`, or of different cases.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;

use super::inputs::Input;
use super::model::{MachineFacts, Run};
use super::store::{in_order, not_run};
use crate::event::CaseId;
use crate::shard::Part;
use crate::words::count;

/// One run of all cases. What is wanted and has no result in any of the inputs did not run.
///
/// # Errors
/// If they are no parts of one run: other kernels, other lists, or a case with two results.
pub fn merge(inputs: &[Input]) -> Result<Run> {
    let first = inputs.first().context("there is nothing to merge")?;
    for input in inputs {
        same_kernel(first, input)?;
    }
    same_list(inputs)?;
    each_once(inputs)?;
    let wanted = wanted(inputs);
    let runs = || inputs.iter().map(|input| &input.run);
    let results: Vec<_> = runs().flat_map(|run| run.results.clone()).collect();
    let not_run = not_run(&wanted, &results);
    Ok(Run {
        kernel: first.run.kernel.clone(),
        machine: machine(inputs),
        started: earliest(inputs)?,
        took: runs().map(|run| run.took).max().unwrap_or_default(),
        results: in_order(&wanted, results),
        failure: failure(inputs, not_run.len()),
        not_run,
        part: None,
    })
}

fn same_kernel(a: &Input, b: &Input) -> Result<()> {
    let (ours, theirs) = (&a.run.kernel, &b.run.kernel);
    if ours.fingerprint == theirs.fingerprint {
        return Ok(());
    }
    bail!(
        "these ran on different kernels:\n  {}: {}, fingerprint {}\n  {}: {}, fingerprint {}",
        a.path,
        ours.title(),
        ours.fingerprint,
        b.path,
        theirs.title(),
        theirs.fingerprint
    )
}

/// Shards must be of one list that was divided once.
fn same_list(inputs: &[Input]) -> Result<()> {
    let mut parts = inputs
        .iter()
        .filter_map(|input| Some((input, part(input)?)));
    let Some((first, ours)) = parts.next() else {
        return Ok(());
    };
    for (input, theirs) in parts {
        if theirs.shard.siblings().next() != ours.shard.siblings().next()
            || theirs.whole != ours.whole
        {
            bail!(
                "{} is shard {} of {}, {} is shard {} of {}, and they are not of one list",
                first.path,
                ours.shard,
                count(ours.whole.len(), "case"),
                input.path,
                theirs.shard,
                count(theirs.whole.len(), "case")
            );
        }
    }
    Ok(())
}

fn part(input: &Input) -> Option<&Part> {
    input.run.part.as_ref()
}

fn each_once(inputs: &[Input]) -> Result<()> {
    let mut seen = HashMap::new();
    for input in inputs {
        for result in &input.run.results {
            if let Some(other) = seen.insert(&result.id, &input.path) {
                let CaseId {
                    filesystem, case, ..
                } = &result.id;
                bail!(
                    "{filesystem} {case} has two results, in {other} and in {}",
                    input.path
                );
            }
        }
    }
    Ok(())
}

/// The lists of all inputs as one, by repeat and filesystem.
fn wanted(inputs: &[Input]) -> Vec<CaseId> {
    let mut wanted = Vec::new();
    let mut seen = HashSet::new();
    for input in inputs {
        let Run {
            results, not_run, ..
        } = &input.run;
        let whole = part(input).map(|part| part.whole.as_slice());
        let own = results.iter().map(|result| &result.id).chain(not_run);
        let ids = whole.unwrap_or_default().iter().chain(own);
        wanted.extend(ids.filter(|id| seen.insert(*id)).cloned());
    }
    wanted.sort_by_key(|id| (id.repeat, id.filesystem));
    wanted
}

/// Why the whole is not whole, in one line.
fn failure(inputs: &[Input], not_run: usize) -> Option<String> {
    let aborted = inputs
        .iter()
        .filter_map(|input| Some(format!("{}: {}", input.path, input.run.why()?)));
    let mut reasons: Vec<_> = aborted.chain(missing(inputs)).collect();
    if reasons.is_empty() && not_run > 0 {
        reasons.push("no file has their results".into());
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// The shards that had something to do and are not there.
fn missing(inputs: &[Input]) -> Option<String> {
    let there: HashSet<_> = inputs
        .iter()
        .filter_map(part)
        .map(|part| part.shard.to_string())
        .collect();
    let Part { shard, whole } = inputs.iter().find_map(part)?;
    let missing: Vec<_> = shard
        .siblings()
        // The others have nothing to do, however many they are.
        .take(whole.len())
        .filter(|shard| !shard.share(whole).is_empty())
        .map(|shard| shard.to_string())
        .filter(|shard| !there.contains(shard))
        .collect();
    (!missing.is_empty()).then(|| format!("no results of shard {}", missing.join(", ")))
}

/// Of different machines, everything that was there; of numbers, the largest.
fn machine(inputs: &[Input]) -> MachineFacts {
    let machines = || inputs.iter().map(|input| &input.run.machine);
    let all = |fact: fn(&MachineFacts) -> &str| distinct(machines().map(fact).collect());
    let mut programs: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, version) in machines().flat_map(|machine| &machine.programs) {
        programs.entry(name).or_default().push(version.as_str());
    }
    MachineFacts {
        accelerator: all(|machine| &machine.accelerator),
        qemu: all(|machine| &machine.qemu),
        host_kernel: all(|machine| &machine.host_kernel),
        host_cpus: machines().map(|it| it.host_cpus).max().unwrap_or(1),
        guests: machines().map(|it| it.guests).max().unwrap_or(1),
        programs: programs
            .into_iter()
            .map(|(name, versions)| (name.clone(), distinct(versions)))
            .collect(),
    }
}

/// Each once.
fn distinct(mut words: Vec<&str>) -> String {
    words.sort_unstable();
    words.dedup();
    words.join(", ")
}

fn earliest(inputs: &[Input]) -> Result<String> {
    let started = |input: &Input| -> Result<(Timestamp, String)> {
        let text = &input.run.started;
        let time = text
            .parse()
            .with_context(|| format!("{} has no time of its start: {text:?}", input.path))?;
        Ok((time, text.clone()))
    };
    let times: Vec<_> = inputs.iter().map(started).collect::<Result<_>>()?;
    let first = times.into_iter().min().map(|(_, text)| text);
    Ok(first.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use harness::wire::Filesystem::{Ext3, Xfs};

    use super::*;
    use crate::event::Verdict;
    use crate::report::model::samples;

    fn list() -> Vec<CaseId> {
        [(Ext3, "a"), (Ext3, "b"), (Xfs, "a"), (Xfs, "b"), (Xfs, "c")]
            .map(|(filesystem, case)| samples::result(filesystem, case, 0, Verdict::Passed).id)
            .to_vec()
    }

    /// What `--shard` makes of the list, all passed.
    fn shard(shard: &str) -> Input {
        let (path, shard) = (shard.into(), shard.parse::<crate::shard::Shard>().unwrap());
        let share = shard.share(&list());
        let results = share
            .iter()
            .map(|id| samples::result(id.filesystem, &id.case, id.repeat, Verdict::Passed));
        let whole = list();
        let run = Run {
            part: Some(Part { shard, whole }),
            ..samples::run(&[], results.collect())
        };
        Input { path, run }
    }

    fn ids(run: &Run) -> Vec<CaseId> {
        run.results.iter().map(|result| result.id.clone()).collect()
    }

    #[test]
    fn shards_become_one_run() {
        let mut inputs = [shard("2/3"), shard("3/3"), shard("1/3")];
        inputs[0].run.started = "2026-11-21T00:30:00-01:00".into();
        inputs[1].run.machine.accelerator = "kvm".into();
        inputs[2].run.machine.host_cpus = 64;
        for (input, version) in inputs.iter_mut().zip(["10.0", "7.2", "10.0"]) {
            let programs = &mut input.run.machine.programs;
            programs.insert("qemu-ga".into(), version.into());
        }
        let run = merge(&inputs).unwrap();
        assert_eq!((ids(&run), run.not_run.len()), (list(), 0));
        assert_eq!(run.failure, None);
        assert_eq!(run.started, "2026-11-21T01:00:00+00:00");
        assert_eq!(run.machine.accelerator, "kvm, tcg");
        assert_eq!(run.machine.host_cpus, 64);
        assert_eq!(run.machine.programs["qemu-ga"], "10.0, 7.2");
    }

    #[test]
    fn what_is_missing_did_not_run() {
        let mut broken = shard("1/3");
        broken.run.not_run = vec![broken.run.results.pop().unwrap().id];
        broken.run.failure = Some("interrupted\nin the middle".into());
        let mut lost = shard("2/3");
        lost.run.results.pop();
        let table: &[(&[Input], &str, usize)] = &[
            (&[shard("1/3"), shard("3/3")], "no results of shard 2/3", 2),
            (&[shard("3/3")], "no results of shard 1/3, 2/3", 4),
            (&[broken, shard("2/3"), shard("3/3")], "1/3: interrupted", 1),
            (
                &[shard("1/3"), lost, shard("3/3")],
                "no file has their results",
                1,
            ),
        ];
        for (inputs, why, missing) in table {
            let run = merge(inputs).unwrap();
            assert_eq!(run.failure.as_deref(), Some(*why));
            assert_eq!(run.not_run.len(), *missing, "{why}");
            assert_eq!(run.results.len() + missing, list().len(), "{why}");
        }
    }

    #[test]
    fn shards_with_nothing_to_do_are_not_missed() {
        let inputs: Vec<_> = (1..=5).map(|it| shard(&format!("{it}/7"))).collect();
        assert_eq!(merge(&inputs).unwrap().failure, None);
    }

    #[test]
    fn more_shards_than_there_can_be_machines() {
        let run = merge(&[shard(&format!("1/{}", usize::MAX))]).unwrap();
        let why = "no results of shard 2/18446744073709551615, 3/18446744073709551615";
        assert!(run.failure.unwrap().starts_with(why));
    }

    #[test]
    fn runs_of_other_cases_are_one_run() {
        let run = |path: &str, fs| Input {
            path: path.into(),
            run: samples::run(&[], vec![samples::result(fs, "a", 0, Verdict::Passed)]),
        };
        let merged = merge(&[run("x", Xfs), run("e", Ext3)]).unwrap();
        assert_eq!(merged.results[0].id.filesystem, Ext3);
        assert_eq!(merged.results.len(), 2);
    }

    #[test]
    fn what_is_no_part_of_one_run_is_refused() {
        let mut kernel = shard("2/2");
        kernel.run.kernel.fingerprint = "beef".into();
        let mut list = shard("2/2");
        list.run.part.as_mut().unwrap().whole.pop();
        let mut time = shard("2/2");
        time.run.started = "noon".into();
        let table = [
            (kernel, "different kernels"),
            (list, "not of one list"),
            (shard("2/3"), "not of one list"),
            (shard("1/2"), "ext3 a has two results, in 1/2 and in 1/2"),
            (time, "no time of its start"),
        ];
        for (other, words) in table {
            let error = merge(&[shard("1/2"), other]).unwrap_err();
            assert!(error.to_string().contains(words), "{error:#}");
        }
    }
}
