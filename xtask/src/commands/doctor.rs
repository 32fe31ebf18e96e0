//! `doctor`: what is missing, what is there.

use super::Context;
use super::prepare::{TO_CHECK, install_line, missing};
use crate::deps;
use crate::failure::{Kind, Result};
use crate::kernel;
use crate::layout::Layout;
use crate::report::terminal::text;
use crate::series;
use crate::vm::accel;

pub fn run(context: &Context) -> Result<u8> {
    let missing = missing(TO_CHECK);
    text(&deps_text(&missing));
    text(&kernels_text(&context.layout)?);
    text(&accel_text(context));
    match missing.as_slice() {
        [] => Ok(super::PASSED),
        missing => Err(Kind::Machinery.error(format!("{} things are missing", missing.len()))),
    }
}

fn deps_text(missing: &[deps::Missing]) -> String {
    let Some(line) = install_line(missing) else {
        return "tools: all there".into();
    };
    let mut text = "tools: missing\n".to_owned();
    for missing in missing {
        text += &format!("  {} (package {})\n", missing.what, missing.package);
    }
    text + &format!("install them with\n  {line}")
}

fn kernels_text(layout: &Layout) -> Result<String> {
    let mut text = "kernels:".to_owned();
    for base in kernel::bases(layout)? {
        let series = series::known(layout, &base.name);
        let series = if series.is_empty() {
            "none".into()
        } else {
            series.join(", ")
        };
        text += &format!(
            "\n  --base {:10} from {}, series: {series}",
            base.name, base.package
        );
    }
    for build in layout
        .builds()
        .read_dir_utf8()
        .into_iter()
        .flatten()
        .flatten()
    {
        text += &format!("\n  built: {}", build.file_name());
    }
    Ok(text)
}

fn accel_text(context: &Context) -> String {
    let verdict = match accel::kvm_is_there() {
        Err(error) => format!("tcg: /dev/kvm cannot be opened ({error})"),
        Ok(()) => measured(context),
    };
    format!("accelerator: {verdict}")
}

fn measured(context: &Context) -> String {
    let known = accel::cached(&context.layout, &context.stop);
    if known.is_empty() {
        return "not known yet: /dev/kvm opens, the next test-kernel measures what it is worth"
            .into();
    }
    let lines = known
        .iter()
        .map(|(kernel, verdict)| format!("\n  {kernel}: {}", verdict.sentence()));
    lines.collect()
}
