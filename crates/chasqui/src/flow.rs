//! The files of the bot: whether they are right, and what they say.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use chasqui_bot::{Definitions, Flow, Problem};
use clap::{Args, Subcommand};

use crate::{exit, output};

/// More than any file of a flow may have.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Options of `flow`.
#[derive(Debug, Args)]
pub(crate) struct Flows {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List every problem of flows or of a directory of definitions, or what they amount to: exit code 2 or 0.
    Check {
        /// Files of flows, and directories with `<tenant>.toml` and `flows/<name>.toml`.
        #[arg(required = true, value_name = "FILE|DIRECTORY")]
        paths: Vec<PathBuf>,
    },
    /// Show a flow as contacts read it.
    Show {
        /// The file of a flow.
        file: PathBuf,
    },
}

/// What is told of one path: lines, or problems.
type Told = Result<Vec<String>, Vec<Problem>>;

/// Checks or shows flows. No configuration is read: it works before there is one.
pub(crate) fn run(options: &Flows) -> ExitCode {
    let code = match &options.command {
        Command::Check { paths } => paths.iter().map(|path| print(path, check(path))).max(),
        Command::Show { file } => Some(print(file, show(file))),
    };
    ExitCode::from(code.unwrap_or_default())
}

/// Prints what is told of a path, and says with which code that ends.
fn print(path: &Path, told: io::Result<Told>) -> u8 {
    let printed = told.and_then(|told| match told {
        Ok(lines) => lines.iter().try_for_each(|line| output::line(line).map(drop)).map(|()| 0),
        Err(problems) => {
            for problem in problems {
                eprintln!("{problem}");
            }
            Ok(exit::CONFIGURATION)
        }
    });
    printed.unwrap_or_else(|error| {
        eprintln!("{}: {error}", path.display());
        exit::FAILED
    })
}

fn check(path: &Path) -> io::Result<Told> {
    if !path.is_dir() {
        return Ok(parse(path)?.map(|flow| vec![flow.summary().to_string()]));
    }
    Ok(Definitions::read(path).map(|definitions| {
        let doubts = definitions.doubts().into_iter().map(|doubt| format!("{doubt} (allowed)"));
        let verdict = format!("{}: everything is right", path.display());
        definitions.summaries().into_iter().chain(doubts).chain([verdict]).collect()
    }))
}

fn show(path: &Path) -> io::Result<Told> {
    Ok(parse(path)?.map(|flow| vec![flow.script().to_string()]))
}

fn parse(path: &Path) -> io::Result<Result<Flow, Vec<Problem>>> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(Flow::parse(&path.display().to_string(), &text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: &str =
        "name = \"a\"\nstart = \"b\"\n[[states]]\nname = \"b\"\nprompt = \"Hola\"\nend = true\n";

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.toml");
        std::fs::write(&file, text).unwrap();
        (directory, file)
    }

    #[test]
    fn a_right_flow_is_summed_up_and_shown() {
        let (_directory, file) = written(FLOW);
        assert!(check(&file).unwrap().unwrap()[0].contains("flow a (version 1), starts at b"));
        assert!(show(&file).unwrap().unwrap()[0].contains("es: Hola"));
    }

    #[test]
    fn every_problem_of_a_wrong_flow_is_told_with_its_file() {
        let (_directory, file) = written(&FLOW.replace("\"b\"\n[", "\"c\"\n["));
        let problems = check(&file).unwrap().unwrap_err();
        assert_eq!(
            problems[0].to_string(),
            format!("{}:2:9: there is no state `c`, did you mean `b`?", file.display())
        );
        assert_eq!(print(&file, Ok(Err(problems))), exit::CONFIGURATION);
        assert_eq!(print(&file, Err(io::ErrorKind::NotFound.into())), exit::FAILED);
    }

    #[test]
    fn a_directory_is_checked_as_the_bot_reads_it() {
        let (directory, _) = written("");
        std::fs::remove_file(directory.path().join("a.toml")).unwrap();
        std::fs::create_dir(directory.path().join("flows")).unwrap();
        std::fs::write(directory.path().join("flows/a.toml"), FLOW).unwrap();
        let verdict = format!("{}: everything is right", directory.path().display());
        assert_eq!(check(directory.path()).unwrap().unwrap().last(), Some(&verdict));
        std::fs::write(directory.path().join("flows/a.toml"), "name = 1").unwrap();
        assert!(check(directory.path()).unwrap().is_err());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_flow() {
        assert!(check(Path::new("/nowhere/a.toml")).is_err());
        let (_directory, file) = written("");
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert_eq!(show(&file).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
