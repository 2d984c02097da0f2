//! The second question, *what*: each name and address to a service, or at least a provider.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::address::carried_ipv4;
use crate::catalogue::{MinistryIx, Role, ServiceIx};
use crate::decision::{Class, Piece};
use crate::flow::{EvidenceKind, Flow, Hello};
use crate::model::{AddressOwner, NameOwner};
use crate::name::{DomainName, Host};
use crate::policy::Policy;

impl Policy {
    /// Every piece of evidence of a flow with what it is taken for, asked for first.
    ///
    /// Host and SNI are pieces of their own only where they name something else than the target.
    pub(crate) fn pieces(&self, flow: &Flow<'_>) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(2 + flow.chain.len() + flow.addresses.len());
        let mut add = |kind, value: Host| {
            for (value, class) in self.readings(value) {
                pieces.push(Piece {
                    kind,
                    value,
                    class,
                    local: None,
                });
            }
        };
        add(EvidenceKind::Target, flow.target.clone());
        if let Some(host) = flow.host.as_ref().filter(|host| **host != flow.target) {
            add(EvidenceKind::Host, host.clone());
        }
        if let Some(Hello::Name { name, ech }) = &flow.hello
            && flow.target.name() != Some(name)
        {
            let kind = if *ech {
                EvidenceKind::OuterSni
            } else {
                EvidenceKind::Sni
            };
            add(kind, Host::Name(name.clone()));
        }
        for name in flow.chain {
            add(EvidenceKind::Cname, Host::Name(name.clone()));
        }
        for &address in flow.addresses {
            add(EvidenceKind::Address, Host::Address(address));
        }
        // Found behind as chain and addresses are, so it is judged with them: one may explain the other.
        let original = flow.original.filter(|_| flow.resolved).map(Host::from);
        if let Some(original) = original.filter(|it| *it != flow.target) {
            add(EvidenceKind::Original, original);
        }
        self.weigh_addresses(&mut pieces);
        pieces
    }

    /// A value, and for an address that carries an IPv4 address (NAT64, 6to4) that one too.
    fn readings(&self, value: Host) -> impl Iterator<Item = (Host, Class)> {
        let carried = match &value {
            Host::Address(address) => carried_ipv4(*address).map(IpAddr::V4),
            Host::Name(_) => None,
        };
        std::iter::once(value)
            .chain(carried.map(Host::Address))
            .map(|value| {
                let class = match &value {
                    Host::Name(name) => self.classify_name(name),
                    Host::Address(address) => self.classify_address(*address),
                };
                (value, class)
            })
    }

    /// What a name is taken for: the owner of the most specific pattern, a service before a provider.
    #[must_use]
    pub fn classify_name(&self, name: &DomainName) -> Class {
        let mut class = Class::default();
        for owner in self.names.best(name) {
            match owner {
                NameOwner::Service(service) => return self.class_of(service),
                NameOwner::Provider(provider, role) if class.provider.is_none() => {
                    class.provider = Some(provider);
                    class.role = Some(role);
                }
                NameOwner::Provider(..) => {}
            }
        }
        class
    }

    /// What an address is taken for: the owner of the longest prefix, a service before a provider;
    /// services that share the prefix stand for their provider.
    #[must_use]
    pub fn classify_address(&self, address: IpAddr) -> Class {
        let Some((length, owners)) = self.addresses.longest(address) else {
            return Class::default();
        };
        let range = IpNet::new(address, length).ok().map(|range| range.trunc());
        let mut class = Class::default();
        let mut services: Vec<ServiceIx> = Vec::new();
        for &owner in owners {
            match owner {
                AddressOwner::Service(service) if !services.contains(&service) => {
                    services.push(service);
                }
                AddressOwner::Provider(provider, role) if class.provider.is_none() => {
                    class.provider = Some(provider);
                    class.role = Some(role);
                }
                AddressOwner::Service(_) | AddressOwner::Provider(..) => {}
            }
        }
        let class = match services[..] {
            [] => class,
            [service] => self.class_of(service),
            [first, ..] => {
                services.sort_unstable();
                let provider = |&service: &ServiceIx| self.service(service).provider;
                let common = provider(&first).filter(|_| {
                    services
                        .iter()
                        .all(|service| provider(service) == provider(&first))
                });
                Class {
                    service: None,
                    provider: common.or(class.provider),
                    role: Some(Role::Own),
                    range: None,
                    sharing: services,
                }
            }
        };
        Class { range, ..class }
    }

    /// What a ministry's own names take a name for.
    pub(crate) fn classify_locally(
        &self,
        name: &DomainName,
        ministry: MinistryIx,
    ) -> Option<Class> {
        let mut found = None;
        self.local_names.all(name, &mut |(owner, service)| {
            if owner == ministry {
                found = Some(found.map_or(service, |other: ServiceIx| other.min(service)));
            }
        });
        found.map(|service| self.class_of(service))
    }

    /// An address counts as a service only where no asked-for name is a listed service of the same
    /// provider: Microsoft's sign-in does not become Exchange because they share a range. A server name that differs
    /// from the target does not excuse: see [`Piece::excuses`].
    fn weigh_addresses(&self, pieces: &mut [Piece]) {
        let asked: Vec<_> = pieces
            .iter()
            .filter(|piece| piece.excuses(pieces) && matches!(piece.value, Host::Name(_)))
            .filter_map(|piece| self.service(piece.class.service?).provider)
            .collect();
        for piece in pieces {
            let is_found = matches!(piece.kind, EvidenceKind::Address | EvidenceKind::Original);
            let same = piece.class.provider.is_some_and(|p| asked.contains(&p));
            if !(is_found && same) {
                continue;
            }
            if piece.class.role.is_none() {
                piece.class.service = None;
                piece.class.role = Some(Role::Own);
            }
            piece.class.sharing.clear();
        }
    }

    pub(crate) fn class_of(&self, service: ServiceIx) -> Class {
        Class {
            service: Some(service),
            provider: self.service(service).provider,
            role: None,
            range: None,
            sharing: Vec::new(),
        }
    }
}
