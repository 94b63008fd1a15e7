//! What becomes of rows that Cassandra held and `PostgreSQL` or Kong would not have: each kind of defect is a [`Class`], and each
//! class has a [`Policy`].

mod class;
mod keep;

pub use class::Class;
pub use keep::Keep;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// What becomes of the rows of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The value is changed without loss, as the Gateway itself would read it, and the row is loaded.
    Repair,
    /// The row goes whole into `kongferry.quarantine`, and the run goes on.
    Quarantine,
    /// The row stays behind and is counted.
    Skip,
    /// The run ends.
    Fail,
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Repair, Self::Quarantine, Self::Skip, Self::Fail];

    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repair => "repair",
            Self::Quarantine => "quarantine",
            Self::Skip => "skip",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The policy of every class: the defaults, and what the user chose over them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Class, Policy>", into = "BTreeMap<Class, Policy>")]
pub struct Policies {
    /// By class, as index.
    chosen: [Option<Policy>; Class::ALL.len()],
}

impl From<BTreeMap<Class, Policy>> for Policies {
    fn from(chosen: BTreeMap<Class, Policy>) -> Self {
        let mut policies = Self::default();
        for (class, policy) in chosen {
            if let Some(place) = policies.chosen.get_mut(class as usize) {
                *place = Some(policy);
            }
        }
        policies
    }
}

impl From<Policies> for BTreeMap<Class, Policy> {
    fn from(policies: Policies) -> Self {
        Class::ALL
            .into_iter()
            .zip(policies.chosen)
            .filter_map(|(class, policy)| Some((class, policy?)))
            .collect()
    }
}

impl Policies {
    /// Policy of `class`.
    pub fn of(&self, class: Class) -> Policy {
        self.chosen.get(class as usize).copied().flatten().unwrap_or_else(|| class.default_policy())
    }

    /// Chooses another policy for a class.
    ///
    /// # Errors
    /// `Usage` when the class does not know this policy.
    pub fn choose(&mut self, choice: PolicyChoice) -> Result<()> {
        let PolicyChoice { class, policy } = choice;
        if !class.policies().contains(&policy) {
            let known: Vec<&str> = class.policies().iter().map(|policy| policy.as_str()).collect();
            return Err(Error::new(
                ErrorKind::Usage,
                format!("rows of class {class} cannot have the policy {policy}"),
            )
            .remedy(format!("choose one of: {}", known.join(", "))));
        }
        if let Some(place) = self.chosen.get_mut(class as usize) {
            *place = Some(policy);
        }
        Ok(())
    }
}

/// `CLASS=POLICY`, as on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyChoice {
    /// The class.
    pub class: Class,
    /// Its policy.
    pub policy: Policy,
}

impl FromStr for PolicyChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (class, policy) =
            text.split_once('=').ok_or("wanted: CLASS=POLICY, such as invalid-json=fail")?;
        let class = Class::ALL.into_iter().find(|known| known.as_str() == class).ok_or_else(|| {
            let known: Vec<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
            format!("unknown class `{class}`; there are: {}", known.join(", "))
        })?;
        let policy = Policy::ALL.into_iter().find(|known| known.as_str() == policy).ok_or_else(|| {
            let known: Vec<&str> = class.policies().iter().map(|policy| policy.as_str()).collect();
            format!("unknown policy `{policy}`; for {class} there are: {}", known.join(", "))
        })?;
        Ok(Self { class, policy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_default_among_its_policies_and_a_name_of_its_own() {
        for (place, class) in Class::ALL.into_iter().enumerate() {
            assert!(class.policies().contains(&class.default_policy()), "{class}");
            assert!(class.policies().contains(&Policy::Fail), "{class} cannot be refused");
            assert!(
                Class::ALL[..place].iter().all(|other| other.as_str() != class.as_str()),
                "{class} twice"
            );
            assert_eq!(class as usize, place, "{class} is not at its place");
        }
    }

    #[test]
    fn a_choice_is_read_and_an_impossible_one_refused() {
        let mut policies = Policies::default();
        assert_eq!(policies.of(Class::InvalidJson), Policy::Quarantine);
        policies.choose("invalid-json=fail".parse().unwrap()).unwrap();
        assert_eq!(policies.of(Class::InvalidJson), Policy::Fail);
        let text = serde_json::to_string(&policies).unwrap();
        assert_eq!(text, r#"{"invalid-json":"fail"}"#);
        assert_eq!(serde_json::from_str::<Policies>(&text).unwrap(), policies);
        assert!(policies.choose("invalid-json=repair".parse().unwrap()).is_err());
        assert!("invalid-json".parse::<PolicyChoice>().is_err());
        assert!("bad=fail".parse::<PolicyChoice>().is_err());
    }
}
