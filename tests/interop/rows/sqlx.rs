//! `sqlx` with its feature `runtime-tokio`, inside the guard of tokio: one thread of tokio, and a thread of SQLite for each
//! connection. The database is SQLite, in memory.

use glassfrog_interop::{assert_threads, tokio_runtime};
use sqlx::Row;
use sqlx::sqlite::SqlitePoolOptions;
use std::time::Duration;

#[test]
fn tasks_share_a_pool_inside_the_guard() {
    let tokio = tokio_runtime();
    let _guard = tokio.enter();
    glassfrog::block_on(async {
        let pool = SqlitePoolOptions::new()
            // A second connection would have a database of its own.
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(30))
            .connect("sqlite::memory:")
            .await
            .unwrap();
        sqlx::query("CREATE TABLE frogs (id INTEGER PRIMARY KEY, name TEXT)")
            .execute(&pool)
            .await
            .unwrap();
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let pool = pool.clone();
                glassfrog::spawn(async move {
                    let mut transaction = pool.begin().await.unwrap();
                    sqlx::query("INSERT INTO frogs VALUES (?, ?)")
                        .bind(number)
                        .bind(format!("frog {number}"))
                        .execute(&mut *transaction)
                        .await
                        .unwrap();
                    if number % 2 == 0 {
                        transaction.commit().await.unwrap();
                    }
                    // A dropped transaction rolls back.
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let row = sqlx::query("SELECT COUNT(*), MAX(name) FROM frogs")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(
            (row.get::<i64, _>(0), row.get::<&str, _>(1)),
            (50, "frog 98")
        );
        assert_threads(&["tokio-rt-worker", "sqlx-sqlite"]);
        pool.close().await;
    });
}

#[test]
fn a_full_pool_times_out() {
    let tokio = tokio_runtime();
    let _guard = tokio.enter();
    glassfrog::block_on(async {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_millis(20))
            .connect("sqlite::memory:")
            .await
            .unwrap();
        let only = pool.acquire().await.unwrap();
        assert!(matches!(
            pool.acquire().await,
            Err(sqlx::Error::PoolTimedOut)
        ));
        drop(only);
        pool.acquire().await.unwrap();
    });
}
