//! What does a page of Prometheus metrics say?

/// Returns the sum of one metric over all label sets that hold every one of `labels`; 0 when it is not there.
pub fn sum(page: &str, name: &str, labels: &[&str]) -> f64 {
    page.lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter_map(|rest| match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}'),
            None => rest.starts_with(' ').then_some(("", rest)),
        })
        .filter(|(found, _)| labels.iter().all(|label| found.contains(label)))
        .filter_map(|(_, value)| value.split_whitespace().next()?.parse::<f64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_not_over_longer_names() {
        let page =
            "# HELP a_total\na_total{x=\"1\",y=\"2\"} 3\na_total{x=\"2\"} 4 1700000000\na_total_more 9\na_total 1\n";
        assert!((sum(page, "a_total", &[]) - 8.0).abs() < f64::EPSILON);
        assert!((sum(page, "a_total", &["x=\"2\""]) - 4.0).abs() < f64::EPSILON);
        assert!(sum(page, "absent", &[]).abs() < f64::EPSILON);
    }
}
