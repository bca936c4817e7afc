use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::child::leashed;
use crate::error::{Doing, Error};

/// The user PostgreSQL runs as: ourselves, or `postgres` when we are root, because it refuses root.
pub(crate) struct Account {
    /// User and group number of `postgres`; none when we are not root.
    postgres: Option<(u32, u32)>,
}

impl Account {
    pub(crate) fn choose() -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { postgres: None });
        }
        let users = std::fs::read_to_string("/etc/passwd").doing(|| "read /etc/passwd".to_owned())?;
        let postgres = find_user(&users, "postgres").ok_or(Error::NoPostgresUser)?;
        Ok(Self { postgres: Some(postgres) })
    }

    /// Makes `directory` (and what is missing above it) and gives it to the account alone.
    pub(crate) fn own(&self, directory: &Path) -> Result<(), Error> {
        let action = || format!("give {} to PostgreSQL's user", directory.display());
        std::fs::create_dir_all(directory).doing(action)?;
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).doing(action)?;
        match self.postgres {
            Some((user, group)) => chown(directory, Some(user), Some(group)).doing(action),
            None => Ok(()),
        }
    }

    /// A command that runs `program` as this account, in `home`, and gets `at_our_death` when we are gone.
    ///
    /// A clone below `/root` cannot be reached by anybody else; there PostgreSQL also gets the capability
    /// to pass through.
    pub(crate) fn command(&self, program: &Path, home: &Path, at_our_death: &str) -> Command {
        let Some((user, group)) = self.postgres else {
            return leashed(program, at_our_death);
        };
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", at_our_death]).args(switch(user, group)).process_group(0);
        if !reaches(user, group, home) {
            command.args(["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]);
        }
        command.arg("--").arg(program);
        command
    }
}

fn switch(user: u32, group: u32) -> [String; 3] {
    [format!("--reuid={user}"), format!("--regid={group}"), "--init-groups".to_owned()]
}

fn reaches(user: u32, group: u32, home: &Path) -> bool {
    let mut test = Command::new("setpriv");
    test.args(switch(user, group)).args(["--", "test", "-w"]).arg(home);
    test.status().is_ok_and(|status| status.success())
}

/// Numbers of user and group of `name` in the text of `/etc/passwd`.
fn find_user(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        let user = fields.nth(1)?.parse().ok()?;
        Some((user, fields.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\npostgres2:x:7:7::/:\npostgres:x:101:104:,,,:/:/bin/sh\n";
        assert_eq!(find_user(passwd, "postgres"), Some((101, 104)));
        assert_eq!(find_user(passwd, "nobody"), None);
    }
}
