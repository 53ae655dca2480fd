//! `reqwest`, inside the guard of tokio: one thread, which watches the sockets. The server is nginx.

use glassfrog_interop::{assert_threads, server, tokio_runtime};

#[test]
fn pages_are_fetched_inside_the_guard() {
    let Some(addr) = server("HTTP") else { return };
    let tokio = tokio_runtime();
    let _guard = tokio.enter();
    glassfrog::block_on(async {
        let client = reqwest::Client::new();
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let request = client.get(format!("http://{addr}/small.txt"));
                glassfrog::spawn(async move {
                    let response = request.send().await?.error_for_status()?;
                    response.text().await
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap(), "hello\n");
        }
        assert_threads(&["tokio-rt-worker"]);
        let large = client.get(format!(
            "http://localhost:{}/large.bin",
            addr.rsplit(':').next().unwrap()
        ));
        let response = large.send().await.unwrap();
        assert_eq!(response.bytes().await.unwrap().len(), 10_000_000);
    });
}

#[test]
fn pages_are_fetched_inside_the_guard_of_a_worker() {
    let Some(addr) = server("HTTP") else { return };
    let tokio = tokio_runtime();
    let tokio = tokio.handle().clone();
    let workers = glassfrog::Workers::new(2).unwrap();
    let lengths = workers.run(move |_worker| {
        let (addr, tokio) = (addr.clone(), tokio.clone());
        async move {
            // The worker's thread leaves tokio when this future ends.
            let _guard = tokio.enter();
            let response = reqwest::get(format!("http://{addr}/small.txt"))
                .await
                .unwrap();
            response.text().await.unwrap().len()
        }
    });
    for length in lengths {
        assert_eq!(length.unwrap(), 6);
    }
}

#[test]
fn without_the_guard_a_request_panics() {
    let result = std::panic::catch_unwind(|| {
        glassfrog::block_on(async { drop(reqwest::get("http://127.0.0.1:1/").await) });
    });
    let panic = result.unwrap_err();
    let text = panic.downcast_ref::<&str>().copied().map(String::from);
    let text = text
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap();
    assert!(text.contains("there is no reactor running"), "{text}");
}
