//! A draft for the list: `report.eml`. Nothing is sent, and the text says what a person has to look at first.

use std::fmt::Write as _;

use super::report::{
    About, Change, Dossier, about_case, percent, proof_words, revision, said, short, step_verdict,
    times, title, what,
};
use super::{End, Found, Named};
use crate::mail::fold;
use crate::mail::letter::{People, address, same};

/// Where the kernel's regressions are tracked (Documentation/admin-guide/reporting-regressions.rst).
const REGRESSIONS: &str = "regressions@lists.linux.dev";
/// Trailers whose people had to do with the commit.
const INVOLVED: &[&str] = &[
    "signed-off-by",
    "reviewed-by",
    "acked-by",
    "co-developed-by",
    "suggested-by",
    "reported-by",
    "tested-by",
    "cc",
];

/// The whole file, or none where there is no commit that made something worse.
pub fn draft(dossier: &Dossier<'_>, maintainers: &People) -> Option<String> {
    let (End::Culprit { culprit, .. }, Some(about)) = (&dossier.found.end, dossier.about) else {
        return None;
    };
    if Change::of(dossier.found) != Change::Breaks {
        return None;
    }
    let people = recipients(about, maintainers);
    let mut text = String::new();
    for (name, people) in [("To", &people.to), ("Cc", &people.cc)] {
        if !people.is_empty() {
            let all: Vec<String> = people.iter().map(|who| person(who)).collect();
            let _ = writeln!(text, "{name}: {}", all.join(",\n "));
        }
    }
    let subject = format!("[REGRESSION] {}", title(dossier.found));
    let _ = write!(
        text,
        "Subject: {}\nX-Unsent: 1\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n",
        encoded(&subject)
    );
    Some(text + &body(dossier, culprit))
}

fn body(dossier: &Dossier<'_>, culprit: &Named) -> String {
    let Dossier {
        found,
        sides,
        command,
        ..
    } = dossier;
    let mut text = format!("Hello,\n\n{}\n\n", fold(&opening(found, culprit), ""));
    for (side, words) in sides.iter().zip(["before", "with"]) {
        if let Some(result) = side {
            let name = short(&culprit.commit);
            let _ = write!(text, "The case {words} {name}:\n\n");
            text.extend(said(result).lines().map(|line| format!("  {line}\n")));
            text.push('\n');
        }
    }
    let _ = write!(text, "{}\n\n", fold(&evidence(found), ""));
    text += "The steps of the bisection:\n\n";
    for step in &found.steps {
        let verdict = step_verdict(found.plan.terms, step);
        let line = format!("{}: {}", short(&step.of.commit), verdict);
        let _ = writeln!(text, "  {}", fold(&line, "    "));
    }
    let _ = write!(
        text,
        "\nTo repeat it:\n\n  {command}\n\n\
         For the patch that mends it:\n\n  Fixes: {}\n\n\
         #regzbot introduced: {}\n",
        culprit.cited(),
        short(&culprit.commit)
    );
    text
}

fn opening(found: &Found, culprit: &Named) -> String {
    let about = found.signature.as_ref().and_then(|it| about_case(&it.case));
    let about = about.map_or(String::new(), |about| format!(" The case: {about}."));
    let how = found.signature.as_ref().map_or("fails", |it| match it.how {
        super::How::Failed => "fails",
        super::How::Hung => "hangs",
        super::How::KilledGuest => "kills the kernel",
    });
    format!(
        "since commit {}, {} {how}.{about} {} is good, {} is not.",
        culprit.cited(),
        what(found),
        revision(&found.plan.old, &found.old),
        revision(&found.plan.new, &found.new),
    )
}

fn evidence(found: &Found) -> String {
    let proof = match &found.end {
        End::Culprit { proof, .. } => proof_words(found, proof),
        _ => String::new(),
    };
    let runs = found.rate.total();
    format!(
        "{proof} At {} the case failed in {} of {runs} runs, each step ran it {}, and all verdicts are right \
         with a confidence of {}.",
        revision(&found.plan.new, &found.new),
        found.rate.failed,
        times(found.runs),
        percent(found.confidence)
    )
}

/// To the author and the maintainers; the others who had to do with it, and the lists, get copies.
fn recipients(about: &About, maintainers: &People) -> People {
    let mut people = People::default();
    let to = std::iter::once(&about.author).chain(&maintainers.to);
    for who in to {
        add(&mut people.to, &[], who);
    }
    let involved = involved(&about.message);
    let cc = involved.iter().chain(&maintainers.cc);
    for who in cc.chain([&REGRESSIONS.to_owned()]) {
        let to = people.to.clone();
        add(&mut people.cc, &to, who);
    }
    people
}

fn add(list: &mut Vec<String>, others: &[String], who: &str) {
    if address(who).is_some() && !list.iter().chain(others).any(|it| same(it, who)) {
        list.push(who.to_owned());
    }
}

/// The people in the trailers of a commit.
fn involved(message: &str) -> Vec<String> {
    let people = message.lines().filter_map(|line| {
        let (key, who) = line.split_once(':')?;
        let key = key.trim().to_ascii_lowercase();
        INVOLVED.contains(&key.as_str()).then(|| {
            // Behind the address there may be a remark: `Cc: <stable@…> # v6.1`.
            let end = who.find('>').map_or(who.len(), |at| at + 1);
            who[..end].trim().to_owned()
        })
    });
    people.collect()
}

/// `Name <address>` with the name in ASCII.
fn person(who: &str) -> String {
    match who.split_once('<') {
        Some((name, rest)) if !name.is_ascii() => format!("{} <{rest}", encoded(name.trim())),
        _ => who.to_owned(),
    }
}

/// By RFC 2047 if it has to be: an encoded word has at most 75 characters.
fn encoded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut words = vec![String::new()];
    for char in text.chars() {
        let mut bytes = [0; 4];
        let quoted: String = match char {
            ' ' => "_".into(),
            it if it.is_ascii_alphanumeric() => it.into(),
            it => (it.encode_utf8(&mut bytes).bytes())
                .map(|byte| format!("={byte:02X}"))
                .collect(),
        };
        match words.last_mut() {
            Some(word) if word.len() + quoted.len() <= 60 => *word += &quoted,
            _ => words.push(quoted),
        }
    }
    let words: Vec<String> = words.iter().map(|it| format!("=?UTF-8?q?{it}?=")).collect();
    words.join("\n ")
}

#[cfg(test)]
mod tests {
    use super::super::report::samples::{about, found, sides};
    use super::*;
    use crate::bisect::Terms;

    fn mail(found: &Found) -> Option<String> {
        let [before, after] = sides();
        let about = about();
        let maintainers = People {
            to: vec!["VFS <vfs@example.org>".into(), "joerg@example.org".into()],
            cc: vec!["linux-fsdevel@vger.kernel.org".into()],
        };
        let dossier = Dossier {
            found,
            about: Some(&about),
            sides: [Some(&before), Some(&after)],
            command: "cargo xtask bisect --tree linux --good v6.11 --bad v6.12",
        };
        draft(&dossier, &maintainers)
    }

    #[test]
    fn a_draft_for_the_list() {
        let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|it| it.repeat(12));
        let wanted = format!(
            "\
To: =?UTF-8?q?J=C3=B6rg_Example?= <joerg@example.org>,
 VFS <vfs@example.org>
Cc: R <r@example.org>,
 Some One <one@example.org>,
 linux-fsdevel@vger.kernel.org,
 regressions@lists.linux.dev
Subject: [REGRESSION] {c} breaks n_freezes_need_n_thaws on xfs
X-Unsent: 1
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Hello,

since commit {c} (\"fs: simplify the count | of holds\"),
n_freezes_need_n_thaws on xfs fails. The case: five FIFREEZE need five
FITHAW; a writer waits for the last. v6.11 is good, v6.12 is not.

The case before {c}:

  xfs n_freezes_need_n_thaws ok

The case with {c}:

  xfs n_freezes_need_n_thaws FAILED: it went on
    step: first thaw
    it went on

The commit is bad again. Its parent {e} is good again.
{b} without it is good. At v6.12 the case failed in 5 of 5
runs, each step ran it 5 times, and all verdicts are right with a
confidence of 99.9 %.

The steps of the bisection:

  {a}: good
  {b}: bad
  {d}: skipped: does not compile: fs/super.c:9: error: x
  {e}: good, the image of {a}
  {c}: bad
  {b}: good

To repeat it:

  cargo xtask bisect --tree linux --good v6.11 --bad v6.12

For the patch that mends it:

  Fixes: {c} (\"fs: simplify the count | of holds\")

#regzbot introduced: {c}
"
        );
        similar_asserts::assert_eq!(mail(&found()).unwrap(), wanted);
    }

    #[test]
    fn there_is_nothing_to_report_without_a_culprit() {
        let nothing = Found {
            end: End::Nothing("x".into()),
            ..found()
        };
        assert_eq!(mail(&nothing), None);
        let mut fixed = found();
        fixed.plan.terms = Terms::OldNew;
        fixed.steps[0].runs.failed = 5;
        fixed.steps[1].runs.failed = 0;
        assert_eq!(mail(&fixed), None);
        // It has always failed.
        fixed.steps[1].runs.failed = 5;
        assert_eq!(mail(&fixed), None);
    }

    #[test]
    fn people_of_trailers_without_what_stands_behind_them() {
        let message =
            "x\n\nCc: <stable@vger.kernel.org> # v6.1\nLink: https://x\nAcked-by: A <a@x>\n";
        assert_eq!(involved(message), ["<stable@vger.kernel.org>", "A <a@x>"]);
    }

    #[test]
    fn words_that_are_no_ascii_are_encoded_in_pieces() {
        assert_eq!(encoded("plain"), "plain");
        let long = encoded(&"ä".repeat(30));
        assert!(long.lines().all(|line| line.len() <= 76), "{long}");
        assert_eq!(long.matches("=C3=A4").count(), 30);
    }
}
