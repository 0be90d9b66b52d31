//! Drawing by weight in constant time: Walker's alias method, in whole numbers.
//!
//! Floating point would do as well, if it were the same on every machine.

use crate::random::Random;

#[derive(Debug)]
pub(crate) struct Alias {
    /// Of column `i`: the share of it, in 2^-32, that is `i` itself; the rest is the other one.
    columns: Vec<(u32, u32)>,
}

impl Alias {
    /// Index `i` is drawn `weights[i]` times in the sum of all, which must not be zero.
    pub(crate) fn new(weights: &[u64]) -> Self {
        let total: u128 = weights.iter().copied().map(u128::from).sum();
        let count = weights.len() as u128;
        // In units of which a full column has `total`.
        let mut rest: Vec<u128> =
            weights.iter().map(|&weight| u128::from(weight) * count).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..weights.len()).partition(|&index| rest[index] < total);
        let mut columns: Vec<_> = (0..weights.len() as u32).map(|own| (u32::MAX, own)).collect();
        while let (Some(low), Some(&high)) = (small.pop(), large.last()) {
            columns[low] = (((rest[low] << 32) / total) as u32, high as u32);
            rest[high] -= total - rest[low];
            if rest[high] < total {
                large.pop();
                small.push(high);
            }
        }
        Self { columns }
    }

    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        let number = random.draw();
        // The high half chooses the column, the low half the part of it.
        let column = (((number >> 32) * self.columns.len() as u64) >> 32) as usize;
        let (share, other) = self.columns[column];
        if (number as u32) < share { column } else { other as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_come_as_often_as_their_weights_say() {
        let alias = Alias::new(&[1, 0, 5, 94]);
        let mut random = Random::new(1);
        let mut seen = [0_i64; 4];
        for _ in 0..100_000 {
            seen[alias.draw(&mut random)] += 1;
        }
        for (seen, wanted) in seen.into_iter().zip([1_000, 0, 5_000, 94_000]) {
            assert!((seen - wanted).abs() <= wanted / 10, "{seen} of {wanted}");
        }
    }
}
