//! The query of a request: names and values, as forms write them.

use std::borrow::Cow;

/// Pairs in a query; more are no question of ours.
const MOST: usize = 32;

/// The pairs of a query, in order.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

/// A query cannot be read: the name of the field that it is about, as far as it could be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) param: String,
    pub(super) detail: Cow<'static, str>,
}

impl Unreadable {
    pub(super) fn new(param: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            param: param.to_owned(),
            detail: detail.into(),
        }
    }
}

impl Query {
    /// Reads `a=b&c=d` (application/x-www-form-urlencoded); a field that stands there twice is one with two values.
    pub(super) fn parse(text: &str) -> Result<Self, Unreadable> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == MOST {
                return Err(Unreadable::new(
                    "",
                    "there are more fields than any question has",
                ));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name).ok_or_else(|| {
                Unreadable::new("", "a name is not written in UTF-8 with percent signs")
            })?;
            let Some(value) = decoded(value) else {
                return Err(Unreadable::new(
                    &name,
                    "it is not written in UTF-8 with percent signs",
                ));
            };
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Refuses every name that is none of `known`: one that is misspelt would be silently without effect.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Unreadable> {
        match self
            .0
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()))
        {
            None => Ok(()),
            Some((name, _)) => {
                let detail = format!("there is no such field; there are {}", known.join(", "));
                Err(Unreadable::new(name, detail))
            }
        }
    }

    /// The value of a field that may stand there once; one that is empty is not there.
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Unreadable> {
        let mut values = self.all(name);
        let value = values.next();
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Unreadable::new(name, "it is given twice")),
        }
    }

    /// The values of a field, but for empty ones.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |(own, _)| own == name);
        named
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

/// `+` is a blank and `%` and two digits a byte; the bytes are UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_forms_write_them() {
        let query = Query::parse("url=https%3A%2F%2F%C3%A9coles.example%2F%3Fa%3D1&cname=a&cname=b+c&empty=&alone&&x=a=b").unwrap();
        assert_eq!(
            query.one("url").unwrap(),
            Some("https://écoles.example/?a=1")
        );
        assert_eq!(query.all("cname").collect::<Vec<_>>(), ["a", "b c"]);
        assert_eq!(
            query.one("cname"),
            Err(Unreadable::new("cname", "it is given twice"))
        );
        assert_eq!(query.one("x").unwrap(), Some("a=b"));
        for name in ["empty", "alone", "none"] {
            assert_eq!(query.one(name).unwrap(), None, "{name}");
        }
        assert_eq!(
            query
                .only(&["url", "cname", "empty", "alone"])
                .unwrap_err()
                .param,
            "x"
        );
        query
            .only(&["url", "cname", "empty", "alone", "x"])
            .unwrap();
    }

    #[test]
    fn what_is_no_text_is_refused_and_named() {
        for text in ["url=%", "url=%4", "url=%zz", "url=%ff", "url=%c3"] {
            assert_eq!(Query::parse(text).unwrap_err().param, "url", "{text}");
        }
        assert_eq!(Query::parse("%ff=1").unwrap_err().param, "");
        assert!(Query::parse(&"a=1&".repeat(MOST)).is_ok());
        assert!(Query::parse(&"a=1&".repeat(MOST + 1)).is_err());
    }
}
