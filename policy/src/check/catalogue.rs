//! Services and providers, and the names and ranges that are theirs.

use std::collections::BTreeSet;

use ipnet::IpNet;
use jiff::ToSpan;

use super::Check;
use super::documents::{Documents, Written};
use super::ids::Ids;
use crate::bundle::list::{Entry, Reading};
use crate::bundle::yaml;
use crate::catalogue::{
    Country, HostedOn, Id, MinistryIx, Operator, Place, Provider, ProviderIx, Qualification, Role,
    Service, ServiceIx,
};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{AddressOwner, NameOwner};
use crate::pattern::Pattern;
use crate::validity::Moment;

/// How long a qualification holds that does not say until when: the term that the scheme gives.
const QUALIFICATION_YEARS: i32 = 3;

/// The catalogue as far as it could be resolved.
pub(super) struct Catalogue {
    pub(super) categories: Vec<Id>,
    pub(super) services: Vec<Service>,
    pub(super) providers: Vec<Provider>,
    pub(super) names: Vec<Named>,
    pub(super) addresses: Vec<Ranged>,
    /// Names of ministries' own services.
    pub(super) local: Vec<(Named, MinistryIx)>,
}

/// A name that classifies.
pub(super) struct Named {
    pub(super) pattern: Pattern,
    pub(super) owner: NameOwner,
    pub(super) place: Place,
}

/// A range that classifies.
pub(super) struct Ranged {
    pub(super) range: IpNet,
    pub(super) owner: AddressOwner,
    pub(super) place: Place,
}

impl Catalogue {
    /// Names that only one ministry has classified.
    pub(super) fn local_names(&self) -> Vec<(Pattern, MinistryIx, ServiceIx)> {
        self.local
            .iter()
            .filter_map(|(named, ministry)| match named.owner {
                NameOwner::Service(service) => Some((named.pattern.clone(), *ministry, service)),
                NameOwner::Provider(..) => None,
            })
            .collect()
    }

    /// The id of whose a name is.
    pub(super) fn owner_id(&self, owner: NameOwner) -> &str {
        match owner {
            NameOwner::Service(service) => {
                self.services.get(service.at()).map_or("?", |it| &*it.id)
            }
            NameOwner::Provider(provider, _) => {
                self.providers.get(provider.at()).map_or("?", |it| &*it.id)
            }
        }
    }
}

/// Builds the catalogue.
pub(super) fn build(check: &mut Check<'_>, documents: &Documents, ids: &Ids) -> Catalogue {
    let mut catalogue = Catalogue {
        categories: ids.categories.clone(),
        services: Vec::new(),
        providers: Vec::new(),
        names: Vec::new(),
        addresses: Vec::new(),
        local: Vec::new(),
    };
    for (position, written) in (0..).zip(documents.services()) {
        let service = service(check, &written, ids);
        claim(
            check,
            &written,
            ServiceIx(position),
            service.layer,
            &mut catalogue,
        );
        catalogue.services.push(service);
    }
    for (position, written) in (0..).zip(documents.providers()) {
        let provider = provider(check, &written, ProviderIx(position), &mut catalogue);
        catalogue.providers.push(provider);
    }
    settle_jurisdictions(&mut catalogue);
    catalogue
}

fn service(check: &mut Check<'_>, written: &Written<'_, yaml::Service>, ids: &Ids) -> Service {
    let Written { file, it, .. } = *written;
    let layer = ids.layer_of(written);
    let provider = it
        .provider
        .as_ref()
        .and_then(|text| ids.provider(check, text, file));
    let country = it
        .country
        .as_ref()
        .and_then(|text| check.country(text, file));
    let operator = it.operated_by.as_ref().and_then(|text| {
        check.word(
            text,
            file,
            &[("state", Operator::State), ("vendor", Operator::Vendor)],
        )
    });
    for field in it.unverified.iter().flat_map(|values| &values.items) {
        check.word(field, file, &yaml::Service::FIELDS.map(|field| (field, ())));
    }
    let categories = it.category.iter().flat_map(|values| &values.items);
    let mut categories: Vec<_> = categories
        .filter_map(|text| ids.category(&text.value))
        .collect();
    categories.sort_unstable();
    categories.dedup();
    let mut services = |values: &Option<yaml::Values>| {
        values
            .as_ref()
            .map(|values| ids.services(check, values, file, layer))
            .unwrap_or_default()
    };
    let (alternatives, requires) = (services(&it.alternatives), services(&it.requires));
    Service {
        id: it.id.value.as_str().into(),
        name: it.name.as_deref().unwrap_or(&it.id.value).into(),
        provider,
        country,
        categories,
        qualifications: qualifications(check, it, file),
        operator,
        shared: it.shared.as_ref().is_some_and(|shared| shared.value),
        alternatives: as_written(alternatives, it, ids),
        requires,
        hosted_on: hosted_on(check, it, file, ids),
        url: it.url.as_deref().map(Into::into),
        layer,
        place: written.place,
    }
}

/// Alternatives in the order their author gave them: the first is the one recommended.
fn as_written(found: Vec<ServiceIx>, it: &yaml::Service, ids: &Ids) -> Vec<ServiceIx> {
    let mut seen = BTreeSet::new();
    let written = it.alternatives.iter().flat_map(|values| &values.items);
    written
        .filter_map(|text| ids.services.get(&text.value).map(ServiceIx))
        .filter(|service| found.contains(service) && seen.insert(*service))
        .collect()
}

fn qualifications(check: &mut Check<'_>, it: &yaml::Service, file: u32) -> Vec<Qualification> {
    let mut all = Vec::new();
    for written in it.qualification.iter().flat_map(|list| &list.value) {
        let q = &written.value;
        let place = check.place(&q.scheme, file);
        let Some(scheme) = super::ids::read_id(check, &q.scheme, file) else {
            continue;
        };
        let start = q.since.as_ref().or(q.checked.as_ref());
        if let (Some(_), Some(text)) = (&q.since, &q.checked) {
            check.date(text, file);
        }
        if start.is_none() {
            let finding = Diagnostic::error(
                Code::UndatedQualification,
                "the qualification has no date",
            )
            .at(place)
            .help(
                "write `since:`, or at least `checked:`, the day it was seen in the published list",
            );
            check.report(finding);
            continue;
        }
        let mut validity = check.validity(start, q.until.as_ref(), file);
        if q.until.is_none() {
            validity.until = start
                .and_then(|text| Moment::parse(&text.value).ok())
                .and_then(three_years_after);
        }
        if check.is_past(validity) {
            let message = format!("the qualification of `{}` no longer holds", it.id.value);
            let finding = Diagnostic::warning(Code::QualificationPastEnd, message)
                .at(place)
                .help("look it up in the published list, and write its new dates");
            check.report(finding);
        }
        let source = q
            .source
            .as_deref()
            .or(q.decision.as_deref())
            .map(Into::into);
        all.push(Qualification {
            scheme,
            validity,
            source,
        });
    }
    all
}

fn three_years_after(start: Moment) -> Option<jiff::Timestamp> {
    let day = start.day().checked_add(QUALIFICATION_YEARS.years()).ok()?;
    Some(Moment::Day(day).start())
}

fn hosted_on(check: &mut Check<'_>, it: &yaml::Service, file: u32, ids: &Ids) -> Vec<HostedOn> {
    let mut all = Vec::new();
    for written in it.hosted_on.iter().flat_map(|list| &list.value) {
        let host = &written.value;
        let validity = check.validity(host.since.as_ref(), host.until.as_ref(), file);
        let accepted =
            host.accepted_by.is_some() && host.reference.is_some() && host.until.is_some();
        if !accepted && host.accepted_by.is_some() {
            let message = "an acceptance counts only with `accepted_by`, `reference` and `until`";
            let finding = Diagnostic::warning(Code::IncompleteAcceptance, message)
                .at(check.place(&host.provider, file))
                .help(
                    "add what is missing; until then the entry states a fact and excuses nothing",
                );
            check.report(finding);
        }
        if let Some(provider) = ids.provider(check, &host.provider, file) {
            all.push(HostedOn {
                provider,
                validity,
                accepted,
            });
        }
    }
    all
}

/// The names and ranges of a service.
fn claim(
    check: &mut Check<'_>,
    written: &Written<'_, yaml::Service>,
    service: ServiceIx,
    layer: Option<MinistryIx>,
    catalogue: &mut Catalogue,
) {
    let Written { file, it, .. } = *written;
    let names = check.entries(
        it.domains.as_ref(),
        it.domains_from.as_ref(),
        file,
        Reading::Names,
    );
    let ranges = check.entries(
        it.addresses.as_ref(),
        it.addresses_from.as_ref(),
        file,
        Reading::Addresses,
    );
    for (entry, place) in names.into_iter().chain(ranges) {
        match (entry, layer) {
            (Entry::Name(pattern), None) => {
                catalogue.names.push(Named {
                    pattern,
                    owner: NameOwner::Service(service),
                    place,
                });
            }
            (Entry::Name(pattern), Some(ministry)) => {
                let named = Named {
                    pattern,
                    owner: NameOwner::Service(service),
                    place,
                };
                catalogue.local.push((named, ministry));
            }
            (Entry::Range(range), None) => {
                catalogue.addresses.push(Ranged {
                    range,
                    owner: AddressOwner::Service(service),
                    place,
                });
            }
            // Reported by `layers`: ranges are national.
            (Entry::Range(_), Some(_)) => {}
        }
    }
}

fn provider(
    check: &mut Check<'_>,
    written: &Written<'_, yaml::Provider>,
    position: ProviderIx,
    catalogue: &mut Catalogue,
) -> Provider {
    let Written { file, it, .. } = *written;
    for set in it.suffixes.iter().flatten().map(|set| &set.value) {
        let role = check.role(set.role.as_ref(), file);
        let entries = check.entries(
            set.names.as_ref(),
            set.from.as_ref(),
            file,
            Reading::Suffixes,
        );
        take(entries, position, role, catalogue);
    }
    for set in it.addresses.iter().flatten().map(|set| &set.value) {
        let role = check.role(set.role.as_ref(), file);
        let entries = check.entries(
            set.prefixes.as_ref(),
            set.from.as_ref(),
            file,
            Reading::Addresses,
        );
        take(entries, position, role, catalogue);
    }
    Provider {
        id: it.id.value.as_str().into(),
        name: it.name.as_deref().unwrap_or(&it.id.value).into(),
        jurisdiction: it
            .jurisdiction
            .as_ref()
            .and_then(|text| check.country(text, file)),
        place: written.place,
    }
}

fn take(entries: Vec<(Entry, Place)>, provider: ProviderIx, role: Role, catalogue: &mut Catalogue) {
    for (entry, place) in entries {
        match entry {
            Entry::Name(pattern) => {
                catalogue.names.push(Named {
                    pattern,
                    owner: NameOwner::Provider(provider, role),
                    place,
                });
            }
            Entry::Range(range) => {
                catalogue.addresses.push(Ranged {
                    range,
                    owner: AddressOwner::Provider(provider, role),
                    place,
                });
            }
        }
    }
}

/// A provider without a jurisdiction answers to the country that all its services share.
fn settle_jurisdictions(catalogue: &mut Catalogue) {
    for (position, provider) in (0..).zip(&mut catalogue.providers) {
        if provider.jurisdiction.is_some() {
            continue;
        }
        let its_own = catalogue
            .services
            .iter()
            .filter(|it| it.provider == Some(ProviderIx(position)));
        let countries: BTreeSet<Country> = its_own.filter_map(|service| service.country).collect();
        if let [only] = countries.into_iter().collect::<Vec<_>>().as_slice() {
            provider.jurisdiction = Some(*only);
        }
    }
}
