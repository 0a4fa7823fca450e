//! `landfast`: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A fetch is a process of its own: nothing else may be set up for it.
    if std::env::args_os().nth(1).is_some_and(|first| first == landfast::git::child::SUBCOMMAND) {
        return landfast::git::child::main();
    }
    landfast::cli::main()
}
