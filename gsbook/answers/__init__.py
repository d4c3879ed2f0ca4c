"""The answers of the book's exercises, a module for each chapter."""

from gsbook.answers import (
    ch00_reading_tensor_code,
    ch01_learning_from_data,
    ch02_discrete_choices,
    ch03_gumbel_max,
    ch04_relaxation,
    ch05_estimator_and_straight_through,
    ch06_other_estimators,
    ch07_discrete_vae,
    ch08_structured_prediction,
    ch09_vae_at_full_scale,
    ch10_table_1,
    ch11_few_labels,
    ch12_your_own_model,
)

CHAPTERS = (
    ch00_reading_tensor_code,
    ch01_learning_from_data,
    ch02_discrete_choices,
    ch03_gumbel_max,
    ch04_relaxation,
    ch05_estimator_and_straight_through,
    ch06_other_estimators,
    ch07_discrete_vae,
    ch08_structured_prediction,
    ch09_vae_at_full_scale,
    ch10_table_1,
    ch11_few_labels,
    ch12_your_own_model,
)
EXERCISES = {
    label: exercise for chapter in CHAPTERS for label, exercise in chapter.EXERCISES.items()
}
