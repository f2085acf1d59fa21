//! A map that takes no more memory than its entries do.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::iter::Map;
use std::marker::PhantomData;
use std::ops::Index;
use std::{slice, vec};

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A map in the order of its keys, for few entries: a sorted list of them.
///
/// Most models have one version of a few files, and a registry has tens of thousands of models. The least that a
/// [`BTreeMap`] takes is room for eleven entries. Adding an entry in front of others moves those, so
/// many entries are best collected, or added by `extend`.
///
/// ```
/// use modelrack::project::SortedMap;
///
/// let mut sizes = SortedMap::from_iter([("b", 2), ("a", 1)]);
/// assert_eq!(sizes.insert("b", 3), Some(2));
/// sizes.extend([("d", 4), ("c", 0)]);
/// sizes.retain(|_, size| *size > 0);
/// assert_eq!(sizes.remove("d"), Some(4));
/// assert_eq!((sizes.len(), sizes.is_empty()), (2, false));
/// assert_eq!((sizes["a"], sizes.get("c"), sizes.contains_key("b")), (1, None, true));
/// if let Some(size) = sizes.get_mut("a") {
///     *size += 1;
/// }
/// assert!(sizes.iter().eq([(&"a", &2), (&"b", &3)]));
/// for size in sizes.values_mut() {
///     *size *= 2;
/// }
/// for (name, size) in &sizes {
///     println!("{name}: {size}");
/// }
/// assert!(sizes.keys().eq(["a", "b"].iter()));
/// assert_eq!(sizes.values().sum::<i32>(), 10);
/// assert_eq!(sizes, SortedMap::from_iter([("a", 4), ("b", 6)]));
/// assert!(SortedMap::<String, u64>::new().into_iter().next().is_none());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SortedMap<K, V> {
    /// In the order of keys, each once.
    entries: Vec<(K, V)>,
}

impl<K, V> SortedMap<K, V> {
    /// Creates an empty map; [`SortedMap`] has an example.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// Returns the number of entries; [`SortedMap`] has an example.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no entry; [`SortedMap`] has an example.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the entries in the order of keys; [`SortedMap`] has an example.
    pub fn iter(&self) -> Iter<'_, K, V> {
        let pair: fn(&(K, V)) -> (&K, &V) = |(key, value)| (key, value);
        self.entries.iter().map(pair)
    }

    /// Returns the keys in order; [`SortedMap`] has an example.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(key, _)| key)
    }

    /// Returns the values in the order of keys; [`SortedMap`] has an example.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(_, value)| value)
    }

    /// Returns the values in the order of keys, to be changed; [`SortedMap`] has an example.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// Keeps only the entries for which `is_kept` returns `true`; [`SortedMap`] has an example.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&K, &mut V) -> bool) {
        self.entries.retain_mut(|(key, value)| is_kept(key, value));
        self.entries.shrink_to_fit();
    }

    /// Returns the entries, the values to be changed.
    #[cfg(feature = "author")]
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, value)| (&*key, value))
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Returns where the entry of a key is, or would be.
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        let entries = self.entries.as_slice();
        entries.binary_search_by(|(known, _)| known.borrow().cmp(key))
    }

    /// Returns the value of a key; [`SortedMap`] has an example.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key).ok()?;
        Some(&self.entries[place].1)
    }

    /// Returns the value of a key, to be changed; [`SortedMap`] has an example.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key).ok()?;
        Some(&mut self.entries[place].1)
    }

    /// Returns whether a key has a value; [`SortedMap`] has an example.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Sets the value of a key, and returns the one that it had; [`SortedMap`] has an example.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(place) => Some(std::mem::replace(&mut self.entries[place].1, value)),
            Err(place) => {
                self.add(place, key, value);
                None
            }
        }
    }

    fn add(&mut self, place: usize, key: K, value: V) -> usize {
        // The usual growth has room for four from the first entry on.
        self.entries.reserve_exact(1 + self.entries.len() / 4);
        self.entries.insert(place, (key, value));
        place
    }

    /// Returns the value of a key, to be changed; adds a new one if it has none.
    pub(crate) fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let place = match self.place(&key) {
            Ok(place) => place,
            Err(place) => self.add(place, key, V::default()),
        };
        &mut self.entries[place].1
    }

    /// Removes the value of a key, and returns it; [`SortedMap`] has an example.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key).ok()?;
        Some(self.entries.remove(place).1)
    }

    /// Puts the entries in order. Of those with the same key, the last one stays.
    fn settle(&mut self) {
        if !self.entries.is_sorted_by(|(one, _), (next, _)| one < next) {
            self.entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            self.entries.dedup_by(|next, one| {
                let is_same = next.0 == one.0;
                if is_same {
                    std::mem::swap(next, one);
                }
                is_same
            });
        }
        self.entries.shrink_to_fit();
    }
}

/// Entries that are read one by one, mostly in the order of their keys: those become a [`SortedMap`] without being there twice.
#[derive(Debug)]
pub(crate) struct Gathered<K, V> {
    in_order: Vec<(K, V)>,
    /// Those that came after a greater one.
    late: BTreeMap<K, V>,
}

impl<K, V> Default for Gathered<K, V> {
    fn default() -> Self {
        Self {
            in_order: Vec::new(),
            late: BTreeMap::new(),
        }
    }
}

impl<K: Ord, V> Gathered<K, V> {
    fn is_next(&self, key: &K) -> bool {
        self.in_order.last().is_none_or(|(last, _)| last < key)
    }

    /// Returns the value of a key, to be changed.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if self.is_next(key) {
            return None;
        }
        match self.in_order.binary_search_by(|(known, _)| known.cmp(key)) {
            Ok(place) => Some(&mut self.in_order[place].1),
            Err(_) => self.late.get_mut(key),
        }
    }

    /// Adds a value for a key that has none.
    pub(crate) fn add(&mut self, key: K, value: V) {
        match self.is_next(&key) {
            true => self.in_order.push((key, value)),
            false => _ = self.late.insert(key, value),
        }
    }

    /// Returns the values in no particular order.
    #[cfg(feature = "author")]
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        let in_order = self.in_order.iter().map(|(_, value)| value);
        in_order.chain(self.late.values())
    }

    pub(crate) fn finish(self) -> SortedMap<K, V> {
        let mut entries = self.in_order;
        if !self.late.is_empty() {
            entries.extend(self.late);
            // In place: no key is there twice.
            entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        }
        entries.shrink_to_fit();
        SortedMap { entries }
    }
}

/// The entries of a [`SortedMap`] in the order of keys.
type Iter<'m, K, V> = Map<slice::Iter<'m, (K, V)>, fn(&'m (K, V)) -> (&'m K, &'m V)>;

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// Panics if the key has no value, as other maps do.
impl<K: Ord + Borrow<Q>, Q: Ord + ?Sized, V> Index<&Q> for SortedMap<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key has a value")
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        let mut map = Self {
            entries: entries.into_iter().collect(),
        };
        map.settle();
        map
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, entries: T) {
        self.entries.extend(entries);
        self.settle();
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'m, K, V> IntoIterator for &'m SortedMap<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = Iter<'m, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Serialize, V: Serialize> Serialize for SortedMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Deserialize<'de> for SortedMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<K, V>(PhantomData<(K, V)>);

        impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Visitor<'de> for Entries<K, V> {
            type Value = SortedMap<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries.into_iter().collect())
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_several_values_of_a_key_stays() {
        let map = SortedMap::from_iter([(2, 'a'), (1, 'b'), (2, 'c'), (1, 'd'), (2, 'e')]);
        assert_eq!(map.entries, [(1, 'd'), (2, 'e')]);
        let mut map = map;
        map.extend([(1, 'f'), (0, 'g'), (0, 'h')]);
        assert_eq!(map.entries, [(0, 'h'), (1, 'f'), (2, 'e')]);
        let read: SortedMap<String, u8> = serde_json::from_str(r#"{"b":1,"a":2,"b":3}"#).unwrap();
        assert_eq!(
            read,
            SortedMap::from_iter([("a".into(), 2), ("b".into(), 3)])
        );
    }

    #[test]
    fn few_entries_take_no_more_room_than_they_need() {
        let mut map = SortedMap::new();
        for key in [3, 1, 2] {
            map.insert(key, [0_u8; 64]);
            assert_eq!(map.entries.capacity(), map.len());
        }
        map.retain(|key, _| *key == 2);
        assert_eq!((map.len(), map.entries.capacity()), (1, 1));
        assert_eq!(map.clone().entries.capacity(), 1);
    }

    #[test]
    fn entries_are_gathered_in_any_order() {
        for keys in [
            &[1, 2, 3, 4][..],
            &[4, 3, 2, 1],
            &[2, 4, 1, 3],
            &[1, 4, 2, 3],
            &[],
        ] {
            let mut gathered = Gathered::default();
            for key in keys {
                assert_eq!(gathered.get_mut(key), None);
                gathered.add(*key, key * 2);
                *gathered.get_mut(key).unwrap() += 1;
            }
            assert_eq!(gathered.values().count(), keys.len());
            let map = gathered.finish();
            assert!(map.keys().eq([1, 2, 3, 4][..keys.len()].iter()), "{keys:?}");
            assert!(map.iter().all(|(key, value)| *value == key * 2 + 1));
            assert_eq!(map.entries.capacity(), map.len());
        }
    }

    #[test]
    fn entries_are_found_wherever_they_are_added() {
        let keys = [5, 1, 9, 3, 7, 2, 8];
        let mut map = SortedMap::new();
        for (index, key) in keys.into_iter().enumerate() {
            assert_eq!(map.insert(key, key * 2), None);
            assert!(keys[..=index].iter().all(|key| map[key] == key * 2));
            assert!(map.keys().is_sorted());
        }
        assert_eq!((map.remove(&4), map.remove(&9)), (None, Some(18)));
        assert_eq!(
            format!("{map:?}"),
            "{1: 2, 2: 4, 3: 6, 5: 10, 7: 14, 8: 16}"
        );
    }
}
