use super::*;

/// A patch that does this to files, each with the lines from its `diff --git` on.
fn patch(number: usize, subject: &str, body: &str, diff: &str) -> Patch {
    let text = format!(
        "From: A <a@example.org>\nDate: Mon, {number} Nov 2026 10:00:00 +0100\n\
         Subject: [PATCH] {subject}\n\n{body}\n{diff}-- \n2.39.5\n"
    );
    crate::series::parse("x.patch".into(), text.as_bytes()).unwrap()
}

/// A file's diff; hunks begin with the function after their `@@`, and have their numbers by themselves.
fn file(path: &str, start: usize, hunks: &[&str]) -> String {
    let mut text = format!(
        "diff --git a/{path} b/{path}\nindex {start:07}..2 100644\n--- a/{path}\n+++ b/{path}\n"
    );
    for (hunk, at) in hunks.iter().zip((start..).step_by(50)) {
        let (function, lines) = hunk.split_once('\n').unwrap();
        let count = |other: char| {
            lines
                .lines()
                .filter(|line| !line.starts_with(other))
                .count()
        };
        let (old, new) = (count('+'), count('-'));
        text += &format!("@@ -{at},{old} +{at},{new} @@ {function}\n{lines}");
    }
    text
}

fn series(patches: Vec<Patch>) -> Series {
    Series {
        name: "s".into(),
        index: String::new(),
        patches,
    }
}

fn every() -> Subjects {
    Subjects(Vec::new())
}

/// The differences of two patches, as they are written.
fn shown(old: &Patch, new: &Patch) -> String {
    let mut text = String::new();
    for part in parts(old, new) {
        text += &format!("# {}\n", part.name);
        for block in part.blocks {
            text += &format!("@ {}\n", block.function);
            for row in block.rows {
                let side = match row.side {
                    Side::Old => '<',
                    Side::New => '>',
                    Side::Both => '=',
                };
                let kind = match row.kind {
                    Kind::Added => '+',
                    Kind::Removed => '-',
                    Kind::Context => ' ',
                    Kind::Text => ':',
                };
                text += &format!("{side}{kind}{}\n", row.text);
            }
        }
    }
    text
}

#[test]
fn what_does_not_count() {
    let one = patch(
        1,
        "a",
        "Why.",
        &file("a.c", 10, &["int f(void)\n a\n-b\n+c\n d\n"]),
    );
    let table = [
        (
            "the place",
            file("a.c", 99, &["int f(void)\n a\n-b\n+c\n d\n"]),
        ),
        (
            "the context",
            file("a.c", 10, &["int g(void)\n A\n-b\n+c\n D\n E\n"]),
        ),
        ("no context", file("a.c", 10, &["\n-b\n+c\n"])),
        ("two hunks", file("a.c", 10, &["\n-b\n d\n", "\n a\n+c\n"])),
    ];
    for (what, diff) in table {
        assert_eq!(shown(&one, &patch(2, "a", "Why.", &diff)), "", "{what}");
    }
}

#[test]
fn what_counts() {
    let old_lines = "int f(void)\n 1\n 2\n 3\n 4\n-b\n+c\n+d\n 5\n";
    let one = patch(1, "a", "Why.\n\nMore.", &file("a.c", 10, &[old_lines]));
    let with = |hunks: &[&str]| patch(1, "a", "Why.\n\nMore.", &file("a.c", 10, hunks));
    let table = [
        (
            with(&["int f(void)\n 1\n 2\n 3\n 4\n-b\n+c\n+D\n 5\n"]),
            "# a.c\n@ int f(void)\n= 4\n=-b\n=+c\n<+d\n>+D\n= 5\n",
        ),
        // Context of one side is shown beside what that side has.
        (
            with(&["int f(void)\n 1\n 2\n X\n-B\n+c\n+d\n Y\n"]),
            "# a.c\n@ int f(void)\n= 2\n< 3\n< 4\n<-b\n> X\n>-B\n=+c\n=+d\n",
        ),
        // A function that begins within the hunk.
        (
            with(&[
                old_lines,
                "int f(void)\n }\n int g(void)\n {\n 1\n 2\n 3\n+e\n",
            ]),
            "# a.c\n@ int g(void)\n> 1\n> 2\n> 3\n>+e\n",
        ),
        // One that is removed is not where the lines after it are.
        (
            with(&[
                old_lines,
                "int f(void)\n-int g(void)\n 1\n 2\n 3\n 4\n 5\n 6\n 7\n+e\n",
            ]),
            "# a.c\n@ int f(void)\n>-int g(void)\n> 1\n> 2\n> 3\n@ int f(void)\n> 5\n> 6\n> 7\n>+e\n",
        ),
        (
            patch(1, "a", "Why.\n\nLess.", &file("a.c", 10, &[old_lines])),
            "# message\n@ \n=:\n=:Why.\n=:\n<:More.\n>:Less.\n",
        ),
        (
            patch(1, "b", "Why.\n\nMore.", &file("a.c", 10, &[old_lines])),
            "# message\n@ \n<:a\n>:b\n=:\n=:Why.\n=:\n",
        ),
        (
            patch(
                1,
                "a",
                "Why.\n\nMore.\n---\nProvides: timeout\n",
                &file("a.c", 10, &[old_lines]),
            ),
            "# notes\n@ \n>:Provides: timeout\n",
        ),
    ];
    for (other, wanted) in table {
        similar_asserts::assert_eq!(shown(&one, &other), wanted);
    }
}

#[test]
fn braces_are_those_of_their_function() {
    let with = |lines: &str| {
        let hunk = format!("int f(void)\n }}\n{lines}");
        patch(1, "a", "Why.", &file("a.c", 10, &[&hunk]))
    };
    let one = with("+int g(int a)\n+{\n+\treturn 1;\n+}\n");
    let table = [
        (
            "+int h(int a)\n+{\n+\treturn 2;\n+}\n",
            "# a.c\n@ int f(void)\n= }\n\
             <+int g(int a)\n<+{\n<+\treturn 1;\n<+}\n\
             >+int h(int a)\n>+{\n>+\treturn 2;\n>+}\n",
        ),
        // The function is the same if its name is.
        (
            "+int g(int b)\n+{\n+\treturn 1;\n+}\n",
            "# a.c\n@ int f(void)\n= }\n<+int g(int a)\n>+int g(int b)\n=+{\n=+\treturn 1;\n=+}\n",
        ),
    ];
    for (lines, wanted) in table {
        similar_asserts::assert_eq!(shown(&one, &with(lines)), wanted);
    }
    // Those next to what is the same are the same.
    let comment = |function: &str, first: &str| {
        let hunk = format!("{function}\n }}\n+{first}\n+/*\n+ * same\n+ */\n");
        patch(1, "a", "Why.", &file("a.c", 10, &[&hunk]))
    };
    similar_asserts::assert_eq!(
        shown(&comment("int f(void)", "x;"), &comment("int g(void)", "y;")),
        "# a.c\n@ int g(void)\n= }\n<+x;\n>+y;\n=+/*\n=+ * same\n=+ */\n"
    );
    // Where no line differs, nothing does.
    let brace = |function: &str| {
        let hunk = format!("{function}\n a\n+{{\n b\n");
        patch(1, "a", "Why.", &file("a.c", 10, &[&hunk]))
    };
    assert_eq!(shown(&brace("int f(void)"), &brace("int g(void)")), "");
}

#[test]
fn files_that_one_side_has_or_has_elsewhere() {
    let lines = "\n+1\n+2\n+3\n+4\n";
    let new = |path: &str, lines: &str| {
        let text = file(path, 1, &[lines]).replace("-1,0 +1,", "-0,0 +1,");
        text.replace("index", "new file mode 100644\nindex")
            .replace(&format!("--- a/{path}"), "--- /dev/null")
    };
    let of = |diff: &str| patch(1, "a", "Why.", diff);
    let other = file("b.c", 1, &["\n+x\n"]);
    let table = [
        (
            file("a.h", 1, &[lines]) + &other,
            other.clone() + &file("a/b.h", 1, &["\n+1\n+2\n+3\n+5\n"]),
            "# a.h -> a/b.h\n@ \n=+1\n=+2\n=+3\n<+4\n>+5\n",
        ),
        // Two that are alike: the one that is more so.
        (
            file("a.h", 1, &[lines]),
            file("a/b.h", 1, &["\n+1\n+2\n+5\n+6\n"]) + &file("a/c.h", 1, &[lines]),
            "# a/b.h\n@ \n>+1\n>+2\n>+5\n>+6\n",
        ),
        (
            file("a.h", 1, &[lines]),
            file("a/b.h", 1, &["\n+5\n"]),
            "# a/b.h\n@ \n>+5\n# a.h\n@ \n<+1\n<+2\n<+3\n<+4\n",
        ),
        (
            new("a.c", lines),
            new("a.c", lines).replace("100644", "100755"),
            "# a.c\n@ \n<:new file mode 100644\n>:new file mode 100755\n",
        ),
        (
            "diff --git a/a.c b/b.c\nsimilarity index 100%\nrename from a.c\nrename to b.c\n"
                .into(),
            other.clone(),
            "# b.c\n@ \n<:rename from a.c\n<:rename to b.c\n>+x\n",
        ),
    ];
    for (old, new, wanted) in table {
        similar_asserts::assert_eq!(shown(&of(&old), &of(&new)), wanted);
    }
}

/// The subject and the file of each patch.
type Sketch<'a> = &'a [(&'a str, &'a str)];

#[test]
fn patches_are_paired() {
    let of = |subjects: Sketch<'_>| {
        let patches = subjects
            .iter()
            .map(|(subject, path)| patch(1, subject, "Why.", &file(path, 1, &["\n+x\n"])));
        series(patches.collect())
    };
    let table: [(Sketch<'_>, Sketch<'_>, &[&str]); 6] = [
        (
            &[("a", "f"), ("b", "g")],
            &[("a", "f"), ("b", "g")],
            &["1 1 a", "2 2 b"],
        ),
        // One more, and one less: the others keep their partners, and are not moved.
        (
            &[("a", "f"), ("b", "g")],
            &[("n", "h"), ("b", "g")],
            &["+1 n", "2 2 b", "-1 a"],
        ),
        // Another subject, the same place, a file in common.
        (
            &[("a", "f"), ("b", "g")],
            &[("a", "f"), ("c", "g")],
            &["1 1 a", "2 2 c differs"],
        ),
        (
            &[("a", "f"), ("b", "g")],
            &[("a", "f"), ("c", "h")],
            &["1 1 a", "+2 c", "-2 b"],
        ),
        // One subject twice.
        (
            &[("a", "f"), ("a", "g")],
            &[("a", "f"), ("a", "g")],
            &["1 1 a", "2 2 a"],
        ),
        (
            &[("a", "f"), ("b", "f"), ("c", "f")],
            &[("b", "f"), ("c", "f"), ("a", "f")],
            &["2 1 b", "3 2 c", "1 3 a moved differs"],
        ),
    ];
    for (old, new, wanted) in table {
        let entries = compare(&of(old), &of(new), &every());
        let told = entries.iter().map(|entry| match entry {
            Entry::Gone(title) => format!("-{} {}", title.place, title.subject),
            Entry::Come(title) => format!("+{} {}", title.place, title.subject),
            Entry::Pair(pair) => {
                let moved = if pair.moved { " moved" } else { "" };
                let differs = if pair.differs() { " differs" } else { "" };
                format!(
                    "{} {} {}{moved}{differs}",
                    pair.old.place, pair.new.place, pair.new.subject
                )
            }
        });
        assert_eq!(told.collect::<Vec<_>>(), wanted);
    }
}

#[test]
fn a_filter_is_of_subjects() {
    let diff = file("f", 1, &["\n+x\n"]);
    let of = |subject| {
        series(vec![
            patch(1, subject, "Why.", &diff),
            patch(1, "last", "Why.", &diff),
        ])
    };
    let (old, new) = (of("old"), of("new"));
    for (filters, wanted) in [
        (vec![], Ok(2)),
        // Of a pair, one is enough.
        (vec!["^old"], Ok(1)),
        (vec!["new"], Ok(1)),
        (vec!["new", "last"], Ok(2)),
        (
            vec!["new", "nonesuch"],
            Err("\"nonesuch\" matches no patch; there are:\n  last\n  new\n  old"),
        ),
        (vec!["("], Err("unclosed group")),
    ] {
        let filters: Vec<String> = filters.into_iter().map(str::to_owned).collect();
        let found =
            Subjects::of(&filters, [&old, &new]).map(|filter| compare(&old, &new, &filter).len());
        match (found, wanted) {
            (Ok(found), Ok(wanted)) => assert_eq!(found, wanted, "{filters:?}"),
            (Err(failure), Err(words)) => {
                assert_eq!(failure.kind, failure::Kind::Usage);
                assert!(failure.to_string().contains(words), "{failure}");
            }
            (found, wanted) => panic!("{filters:?}: {found:?}, not {wanted:?}"),
        }
    }
}

/// With the real patches: nothing is lost, invented or put in another order.
#[test]
fn rows_have_all_lines_of_both_sides() {
    let layout = crate::host::layout::Layout::of_this_checkout().unwrap();
    let bases = crate::kernel::bases::load(&layout).unwrap();
    let load = |base: &str| {
        let series = crate::series::load(&layout, base, "generic-freeze").unwrap();
        series.patches.iter().flat_map(files).collect::<Vec<File>>()
    };
    let all: Vec<Vec<File>> = bases.iter().map(|base| load(&base.name)).collect();
    let told = |lines: &[Line]| -> Vec<(Kind, String)> {
        let lines = lines.iter();
        lines.map(|line| (line.kind, line.text.clone())).collect()
    };
    let mut compared = 0;
    for (old, new) in all.iter().zip(all.iter().skip(1)) {
        for one in old {
            for other in new.iter().filter(|other| other.path == one.path) {
                let rows = rows(&one.lines, &other.lines);
                let of = |side| {
                    let rows = rows.iter().map(|placed| &placed.row);
                    let mine = rows.filter(move |row| [side, Side::Both].contains(&row.side));
                    mine.map(|row| (row.kind, row.text.clone()))
                        .collect::<Vec<_>>()
                };
                similar_asserts::assert_eq!(of(Side::Old), told(&one.lines), "{}", one.path);
                similar_asserts::assert_eq!(of(Side::New), told(&other.lines), "{}", one.path);
                compared += 1;
            }
        }
    }
    assert!(compared > 10, "{compared}");
}
