//! Is every row of the write table a test? The rows of the contract, each with the tests that hold it; that these exist is a test.
//!
//! A name is a function of these files, or a law in `tests/cases/gate`. What is never asked about is held by the rules of the
//! webhooks themselves.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A write, what it is to, and the tests that hold what becomes of it.
type Row = (&'static str, &'static [&'static str]);

const DECLARED: &[Row] = &[
    (
        "create that agrees, or differs",
        &["a_create_goes_in_as_git_declares_it_and_not_otherwise", "a_new_object_gets_the_values_of_git"],
    ),
    (
        "create by a person with additions",
        &["what_a_person_adds_is_denied", "what_comes_with_a_restored_field_is_no_addition"],
    ),
    ("create with generateName", &["every_command_for_a_config_map_is_held_to_git"]),
    (
        "update, patch, apply, replace, edit, set, label, annotate",
        &[
            "every_command_for_a_config_map_is_held_to_git",
            "every_command_for_a_service_is_held_to_git",
            "every_command_for_a_deployment_is_held_to_git",
            "every_command_for_a_stateful_set_is_held_to_git",
            "every_verb_of_an_update_gets_the_same_denial",
        ],
    ),
    (
        "update that restores",
        &[
            "a_field_that_drifted_before_is_named_and_whoever_restores_it_may",
            "what_was_lost_may_come_back_piece_by_piece",
        ],
    ),
    ("update that leaves what differed before", &["a_field_that_drifted_before_is_named_and_whoever_restores_it_may"]),
    (
        "update of undeclared fields",
        &[
            "what_a_person_adds_is_denied",
            "what_services_and_controllers_add_goes_in",
            "what_git_does_not_declare_is_marked_while_it_is_there",
        ],
    ),
    (
        "update that mixes",
        &["a_drift_is_denied_together_with_what_is_added", "a_mixed_write_gets_the_strictest_ruling"],
    ),
    ("update that adds an owner", &["an_owner_that_git_does_not_declare_is_a_delete_in_disguise"]),
    (
        "update that opts out of a deployer",
        &["an_opt_out_of_a_deployer_is_git_s_to_say", "an_opt_out_of_a_deployer_is_put_back_or_marked_as_drift_is"],
    ),
    (
        "update in another version",
        &[
            "an_autoscaler_that_git_declares_in_version_two_is_held_in_version_one",
            "an_autoscaler_that_git_declares_in_version_one_is_held_in_version_two",
            "a_custom_resource_is_held_in_each_of_its_versions_and_scaled_by_the_path_of_each",
        ],
    ),
    (
        "rollout restart, rollout undo, rollback",
        &["every_command_for_a_deployment_is_held_to_git", "a_rollout_may_be_undone_to_what_git_said_before"],
    ),
    ("dry-run", &["a_dry_run_gets_the_same_answer_and_leaves_nothing"]),
    (
        "what is nobody's drift",
        &[
            "what_kubectl_leaves_behind_is_nobodys",
            "rules_are_put_together_by_the_control_plane_and_by_nobody_else",
            "a_claim_may_grow",
        ],
    ),
    ("object that is being deleted", &["what_is_being_deleted_is_still_compared_and_its_finalizers_may_go"]),
    (
        "terminating namespace",
        &[
            "in_a_terminating_namespace_deletes_and_finalizers_pass_and_drift_does_not",
            "in_an_emergency_landfast_is_not_asked_and_a_terminating_namespace_empties",
        ],
    ),
    (
        "finalizers",
        &[
            "a_finalizer_that_git_does_not_declare_follows_its_own_ruling",
            "what_goes_with_its_map_or_list_is_named_at_its_own_line",
        ],
    ),
    (
        "delete, delete --all, of a collection",
        &[
            "deleting_what_git_declares_is_denied",
            "deleting_a_collection_is_denied_where_it_holds_a_declared_object",
            "every_command_for_a_config_map_is_held_to_git",
        ],
    ),
    ("replace --force", &["replacing_by_force_is_a_delete", "a_deployer_may_delete_to_make_anew_and_nobody_else_may"]),
    (
        "delete of a Namespace or a definition that holds declared objects",
        &[
            "deleting_a_namespace_that_holds_declared_objects_is_denied_and_counts_them",
            "deleting_a_definition_that_declared_objects_need_is_denied",
        ],
    ),
    ("definition that stops serving or prunes", &["a_definition_may_not_stop_serving_or_keeping_what_git_declares"]),
    (
        "scale",
        &[
            "scaling_is_a_write_of_the_replicas_that_git_declares",
            "a_replica_set_that_git_declares_is_scaled_as_git_says",
            "every_command_for_a_stateful_set_is_held_to_git",
            "a_custom_resource_is_held_in_each_of_its_versions_and_scaled_by_the_path_of_each",
            "a_declared_autoscaler_lets_its_controller_move_replicas_and_nobody_else",
            "a_scaled_object_in_git_lets_its_controller_move_replicas_and_nobody_else",
        ],
    ),
    ("status", &["metadata_is_compared_on_its_way_through_status_and_status_is_not"]),
    ("finalize", &["metadata_is_compared_on_its_way_through_finalize"]),
    (
        "exec, attach, port-forward, debug, edits of what it made",
        &[
            "a_person_may_not_reach_into_what_a_declared_object_made",
            "what_a_person_edits_of_a_declared_objects_pod_is_marked_and_who_enters_it_is_warned",
            "what_is_only_observed_is_recorded_with_its_owner_and_keeps_nobody_waiting",
            "an_exec_whose_owner_nobody_tells_goes_in_on_the_record",
        ],
    ),
    (
        "release of what a deleted source, or a ref that is gone, declared",
        &["objects_in_the_cluster_rule_and_tell_how_they_fare", "a_ref_that_is_gone_for_long_releases_its_objects"],
    ),
];

const UNDECLARED: &[Row] = &[
    (
        "create, update, patch, apply",
        &[
            "a_person_may_not_make_what_git_does_not_declare",
            "what_a_person_makes_beside_what_git_declares_is_marked",
            "an_object_that_git_does_not_declare_is_nobodys_business",
        ],
    ),
    ("delete", &["a_person_may_not_make_what_git_does_not_declare", "an_undeclared_object_may_be_deleted"]),
    ("scale", &["scaling_is_free_where_git_declares_no_replicas"]),
    (
        "status, finalize",
        &["metadata_is_compared_on_its_way_through_finalize", "no_condition_fails_whatever_is_written"],
    ),
    ("exec, attach, port-forward, debug", &["a_pod_of_nobodys_is_nobodys_business"]),
];

const NEVER_ASKED: &[Row] = &[
    ("eviction, drain", &["a_node_may_be_drained_of_what_a_declared_object_made", "an_eviction_is_never_judged"]),
    ("deletion of Pods", &["a_person_may_not_reach_into_what_a_declared_object_made", "pods_may_always_be_deleted"]),
    ("binding, tokens", &["a_node_may_be_drained_of_what_a_declared_object_made", "who_acts_as_another_is_that_other"]),
];

#[test]
fn every_row_of_the_write_table_is_held_by_tests_that_exist() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut known = BTreeSet::new();
    for file in fs::read_dir(tests.join("cases/gate")).unwrap() {
        known.insert(file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned());
    }
    for file in fs::read_dir(tests.join("it")).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file()) {
        let text = fs::read_to_string(file).unwrap();
        let mut marked = false;
        for line in text.lines() {
            let name = line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
            known.extend(name.filter(|_| marked).map(str::to_owned));
            marked = line == "#[test]" || line.starts_with("#[tokio::test");
        }
    }
    for (row, tests) in [DECLARED, UNDECLARED, NEVER_ASKED].into_iter().flatten() {
        assert!(!tests.is_empty(), "{row}");
        for test in *tests {
            assert!(known.contains(*test), "{row}: there is no test {test}");
        }
    }
}
